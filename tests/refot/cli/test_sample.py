"""`refot sample` and `refot train --compare`: samples of a run, and two runs side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import toy_system
from typer.testing import CliRunner

from refot.cli.app import app
from refot.systems.registry import SYSTEMS
from refot.systems.training.compare import standing
from refot.systems.training.folder import RunFolderError
from refot.systems.training.load import load_system
from refot.systems.training.loop import Cadence, train


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders of two runs of the toy, of 5 and 8 steps."""
    monkeypatch.setitem(SYSTEMS, toy_system.NAME, toy_system.__name__)
    for seed, iterations in ((0, 5), (1, 8)):
        train("toy", "quadratic", tmp_path / str(seed), seed=seed, iterations=iterations,
              cadence=Cadence(1e9, 5))
    return [str(tmp_path / "0"), str(tmp_path / "1")]


def test_samples_are_those_of_the_last_checkpoint_and_of_the_seed(
    runs: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "samples.npy"
    done = CliRunner().invoke(app, ["sample", runs[0], "--n", "7", "--seed", "3",
                                    "--out", str(out)])
    assert done.exit_code == 0
    due = load_system(runs[0]).sample(7, np.random.default_rng(3))
    np.testing.assert_array_equal(np.load(out), due)


def test_samples_are_drawn(runs: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sample", runs[0], "--out", str(tmp_path / "x.png")])
    assert done.exit_code == 0
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="holds no run"):
        CliRunner().invoke(app, ["sample", str(tmp_path)], catch_exceptions=False)
    with pytest.raises(RunFolderError, match="no run that has begun"):
        standing(tmp_path)


def test_a_standing_has_the_last_losses_and_the_last_measures(runs: list[str]) -> None:
    found = standing(runs[1])
    assert (found.identity.seed, found.iteration) == (1, 8)
    assert found.losses == found.rows[-1]["losses"]
    assert found.measures == found.rows[-1]["measures"]


def test_two_runs_stand_side_by_side(runs: list[str], tmp_path: Path) -> None:
    picture = tmp_path / "both.png"
    done = CliRunner().invoke(app, ["train", "--compare", *runs, "--out", str(picture)],
                              env={"COLUMNS": "200"})
    assert done.exit_code == 0
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.stdout.splitlines()
             if "│" in line]
    one, other = map(standing, runs)
    assert ["iterations", "5", "8"] in lines
    assert ["loss: quadratic", f"{one.losses['quadratic']:.4g}",
            f"{other.losses['quadratic']:.4g}"] in lines
    assert ["undefined", "-", "-"] in lines
    assert picture.exists()
