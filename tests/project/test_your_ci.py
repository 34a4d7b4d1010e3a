"""What docs/your-ci.md offers: the script of the GitHub action, the hook, the harness to copy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACTION = ROOT / ".github" / "actions" / "verify"
HARNESS = ROOT / "docs" / "templates" / "harness"

MINE = """
import numpy as np
def softmin(C, h, eps):
    t = (h - C) / eps
    top = t.max(axis=1)
    return -eps * (top + np.log(np.exp(t - top[:, None]).sum(axis=1)))
def wrong(C, h, eps):
    return 2 * softmin(C, h, eps)
"""


def script(folder: Path, **inputs: str) -> tuple[int, str, dict]:
    """(exit status, summary, report) of verify.sh with these inputs."""
    (folder / "mine.py").write_text(MINE)
    summary = folder / "summary.md"
    python = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", str(ACTION / "verify.sh")], cwd=folder, check=False,
                          capture_output=True, text=True, timeout=300,
                          env=os.environ | {"PATH": python, "GITHUB_STEP_SUMMARY": str(summary)}
                          | inputs)
    report = folder / "refot-report" / "report.json"
    return (done.returncode, summary.read_text() if summary.exists() else done.stderr,
            json.loads(report.read_text()) if report.exists() else {})


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_the_script_fails_on_what_counts_and_tells_it_in_the_summary(tmp_path: Path) -> None:
    status, summary, report = script(tmp_path, SUBJECT="mine.py:softmin", AS="softmin")
    assert (status, report["levels"]["lax"]) == (0, 1)
    assert "\n    mine.py:softmin, profile quick: right; bad input" in summary
    assert script(tmp_path, SUBJECT="mine.py:softmin", AS="softmin", LEVELS="all")[0] == 1
    status, summary, report = script(tmp_path, SUBJECT="mine.py:wrong", AS="softmin")
    assert (status, report["levels"]["wrong"] > 0) == (1, True)
    assert "wrong on ordinary problems" in summary
    assert all(line.startswith(("    ", "### ")) or not line for line in summary.splitlines())


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_an_input_is_a_word_and_no_command(tmp_path: Path) -> None:
    status, _, _ = script(tmp_path, SUBJECT="x.py:f; touch evil $(touch evil)", AS="softmin")
    assert status == 2
    assert not (tmp_path / "evil").exists()
    assert script(tmp_path, SUBJECT="x", LEVELS="some")[0] == 2


def test_every_input_of_the_action_is_described_and_used() -> None:
    action = (ACTION / "action.yml").read_text()
    declared = set(re.findall(r"^  (\w+):$", action.partition("\nruns:")[0], re.MULTILINE))
    used = set(re.findall(r"\$\{\{ inputs\.(\w+) \}\}", action))
    page = (ROOT / "docs" / "your-ci.md").read_text()
    assert declared == used == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    steps = action.partition("\nruns:")[2]
    assert not re.search(r"run: .*\$\{\{", steps)  # an input in a command could be a command


def test_the_hook_has_what_pre_commit_needs() -> None:
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text()
    for field in ("id: refot-verify", "entry: refot verify", "language: python",
                  "pass_filenames: false"):
        assert field in hook


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_the_harness_to_copy_is_right(tmp_path: Path) -> None:
    shutil.copytree(HARNESS, tmp_path, dirs_exist_ok=True)
    status, summary, report = script(tmp_path, COMMAND="node harness.mjs", LEVELS="all")
    assert status == 0, summary
    assert report["subject"]["name"] == "my library"
    assert report["summary"]["passed"] > 50
