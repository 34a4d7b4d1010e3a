"""The pytest plugin, in runs of pytest of its own: what is collected, skipped, expected, told."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from refot.verification.cases.case import SEEDS, collect
from refot.verification.runs.exclusions import ExclusionError, read_exclusions
from refot.verification.subjects.capabilities import missing_from

pytest_plugins = ["pytester"]

INSTALLED = any(entry.value == "pytest_refot" for entry in entry_points(group="pytest11"))
PLUGIN = () if INSTALLED else ("-p", "refot.verification.pytest_refot")
"""An environment that was set up before the plugin was written has no entry point for it."""

SUBJECT = '''
import numpy as np

class Nats:
    unit = 1.0

    def mutual_information(self, P):
        if not (P >= 0).all():
            raise ValueError("masses below 0, or NaN")
        outer = np.outer(P.sum(axis=1), P.sum(axis=0))
        here = P > 0
        return float((P[here] * np.log(P[here] / outer[here])).sum()) / self.unit

class Bits(Nats):
    unit = np.log(2)

class Lax(Nats):
    def mutual_information(self, P):
        return super().mutual_information(np.nan_to_num(np.maximum(P, 0)))

class Broken:
    def mutual_information(self, P):
        return 1 / 0
'''
CASES = len(collect("quick")[0])
ON_ONE = 5
EVERYWHERE = 3
TESTS, OTHERS = EVERYWHERE * CASES + ON_ONE, len(missing_from({"mutual_information"}))
"""Three checks of mutual_information on every case, and on one case those of its repetition, of
both precisions, of a NaN and of a mass below 0; the capabilities that are not provided."""


@pytest.fixture
def run(pytester: pytest.Pytester):  # type: ignore[no-untyped-def]
    """A run of pytest with the plugin on a subject, in a folder with one test of somebody's own."""
    pytester.makepyfile(mine=SUBJECT, test_mine="def test_mine(): assert 1 + 1 == 2")

    def go(*words: str, subject: str = "mine:Nats") -> pytest.RunResult:
        asked = ("--refot-subject", subject) if subject else ()
        return pytester.runpytest_inprocess(*PLUGIN, "-p", "no:cacheprovider", *asked, *words)

    return go


def written(pytester: pytest.Pytester, *lines: str) -> Path:
    path = pytester.path / "list.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# ------------------------------------------------------------------ what is run
def test_every_check_on_every_case_is_a_test(run) -> None:  # type: ignore[no-untyped-def]
    result = run("-v", "-W", "error")
    result.assert_outcomes(passed=TESTS + 1, skipped=OTHERS)
    result.stdout.fnmatch_lines([
        "test_mine.py::test_mine PASSED*",
        "refot::mutual_information.plan?gaussian? PASSED*",
        "refot::value.* SKIPPED*not provided: value(C, a, b, eps)*",
    ])


def test_a_failure_says_what_verify_says(run) -> None:  # type: ignore[no-untyped-def]
    result = run("-k", "gaussian and plan", subject="mine:Bits")
    result.assert_outcomes(failed=1, deselected=TESTS + OTHERS)
    result.stdout.fnmatch_lines([
        "wrong: mutual_information.plan on gaussian: KL of the plan to the product*",
        "measured: *", "certified: *", "off by: *allowed: *", "diagnosis: *bits*",
    ])
    assert "Traceback" not in result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_subject_that_raises_fails(run) -> None:  # type: ignore[no-untyped-def]
    result = run("-k", "gaussian", subject="mine:Broken")
    result.assert_outcomes(failed=ON_ONE, skipped=3,  # it refuses no bad input, and has no answer
                           deselected=TESTS - 3 - ON_ONE + OTHERS + 1)
    result.stdout.fnmatch_lines(["ZeroDivisionError: division by zero"])


def test_what_is_lax_fails_only_if_it_is_asked_for(run) -> None:  # type: ignore[no-untyped-def]
    """A NaN and a mass below 0 are taken for 0."""
    result = run("-k", "refuses", "-rx", subject="mine:Lax")
    result.assert_outcomes(xfailed=2, deselected=TESTS - 2 + OTHERS + 1)
    result.stdout.fnmatch_lines(["XFAIL *refuses*gaussian* lax: bad input is not refused*"])
    assert result.ret == pytest.ExitCode.OK
    strict = run("-k", "refuses", "--refot-strict", subject="mine:Lax")
    strict.assert_outcomes(failed=2, deselected=TESTS - 2 + OTHERS + 1)


def test_profile_full_and_as(run) -> None:  # type: ignore[no-untyped-def]
    full = EVERYWHERE * len(collect("full")[0]) + len(SEEDS["full"]) * ON_ONE
    result = run("--collect-only", "-q", "--refot-profile", "full", "--refot-as",
                 "mutual_information", subject="mine:Nats.mutual_information")
    assert len(result.stdout.get_lines_after("*refot::mutual_information.plan*gaussian]")) > 0
    result.stdout.fnmatch_lines([f"{full + OTHERS + 1} tests collected*"])


def test_two_workers_run_the_same_tests(pytester: pytest.Pytester, run) -> None:  # type: ignore[no-untyped-def]
    listed = written(pytester, "mutual_information.plan gaussian  # bits", "value.certified")
    result = pytester.runpytest_subprocess(
        *PLUGIN, "-n", "2", "--refot-subject", "mine:Bits", "--refot-xfail", str(listed),
        "-k", "test_mine or gaussian or euclidean")
    result.assert_outcomes(passed=5 + ON_ONE, xfailed=1, failed=1)
    # independent: 0 in any unit; and float32 is no worse than float64
    result.stdout.fnmatch_lines(["*list.txt:2: stale: matches none of the *: value.certified *"])
    assert result.stdout.str().count("stale") == 1
    assert "Different tests were collected" not in result.stdout.str()


# ------------------------------------------------------------------ lists
def test_skip_and_xfail(pytester: pytest.Pytester, run) -> None:  # type: ignore[no-untyped-def]
    skip = written(pytester, "# what takes long", "", "*.plan *-eps   # stops early", "*.plan l1")
    (pytester.path / "x.txt").write_text("mutual_information.plan  # in bits, issue 17\n")
    result = run("--refot-skip", str(skip), "--refot-xfail", "x.txt", "-rxs", subject="mine:Bits")
    outcomes = result.parseoutcomes()
    skipped = 3 + 1  # huge-eps, small-eps, tiny-eps; l1
    assert outcomes["skipped"] == OTHERS + skipped
    assert outcomes["xfailed"] + outcomes.get("failed", 0) == CASES - skipped
    result.stdout.fnmatch_lines(["XFAIL refot::*gaussian* x.txt:1: in bits, issue 17*",
                                 "SKIPPED*list.txt:3: stops early"])


def test_what_passes_though_it_is_to_fail_fails(pytester: pytest.Pytester, run) -> None:  # type: ignore[no-untyped-def]
    listed = written(pytester, "mutual_information.plan gaussian  # mended?")
    result = run("--refot-xfail", str(listed))
    result.assert_outcomes(passed=TESTS, skipped=OTHERS, failed=1)
    result.stdout.fnmatch_lines(["*XPASS(strict)*list.txt:1: mended?"])


def test_a_broken_check_is_no_expected_failure(
    pytester: pytest.Pytester, run, monkeypatch: pytest.MonkeyPatch  # type: ignore[no-untyped-def]
) -> None:
    """xfail stands for what the subject does; an exception of refot's own code is still one."""
    monkeypatch.setattr("refot.verification.truth.solution.Truth.plan",
                        property(lambda self: 1 / 0))
    listed = written(pytester, "mutual_information.plan gaussian")
    result = run("--refot-xfail", str(listed), "-k", "gaussian and plan")
    result.assert_outcomes(failed=1, deselected=TESTS + OTHERS)


def test_a_line_that_matches_nothing_here_is_told(pytester: pytest.Pytester, run) -> None:  # type: ignore[no-untyped-def]
    listed = written(pytester, "value.certified", "mutual_information.plan gaussian#3")
    result = run("--refot-skip", str(listed), "-k", "l1")
    result.stdout.fnmatch_lines(["*list.txt:1: stale: matches none*: value.certified [*]",
                                 "*list.txt:2: stale: matches none*: *gaussian#3"])
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(("line", "complaint"), [
    ("value.certifed", "no check matches 'value.certifed'"),
    ("value.certified gausian", "no case matches 'gausian'; allowed are .*gaussian, "),
    ("value.certified gaussian reason", "more than CHECK and CASE"), ("value.*#", "no check"),
])
def test_lines_that_can_never_match(line: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"value.certified\n{line}\n")
    with pytest.raises(ExclusionError, match=rf"list.txt:2: .*{complaint}"):
        read_exclusions(path)


def test_files_that_are_no_lists(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"value.certified # \xe9")
    for name, complaint in (("latin", "not UTF-8"), ("no", "No such file"), ("", "plain file")):
        with pytest.raises(ExclusionError, match=complaint):
            read_exclusions(tmp_path / name)


# ------------------------------------------------------------------ wrong calls, and no call at all
@pytest.mark.parametrize(("words", "complaint"), [
    (("--refot-subject", "no.such:thing"), "no.such: cannot be imported"),
    (("--refot-subject", "mine:Nats", "--refot-profile", "fast"), "'fast'; allowed: one of full"),
    (("--refot-subject", "mine:Nats", "--refot-skip", "no.txt"), "no.txt: cannot be read"),
    (("--refot-subject", "mine:Nats", "--refot-command", "true"), "one of --refot-subject and"),
    (("--refot-skip", "no.txt"), "one of --refot-subject and --refot-command is due"),
    (("--refot-command", "false"), "ended with status 1"),
    (("--refot-command", "true", "--refot-as", "plan"), "says itself"),
])
def test_a_wrong_call_is_one_line(words: tuple[str, ...], complaint: str, run) -> None:  # type: ignore[no-untyped-def]
    result = run(*words, subject="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: refot: *{complaint}*"])


def test_without_the_option_nothing_is_imported(run) -> None:  # type: ignore[no-untyped-def]
    run(subject="").assert_outcomes(passed=1)
    door = Path(sys.modules["refot.verification"].__path__[0]) / "pytest_refot" / "__init__.py"
    code = ("import importlib.util as u, sys; s = u.spec_from_file_location('door', sys.argv[1]); "
            "m = u.module_from_spec(s); s.loader.exec_module(m); "
            "print(sorted({'numpy', 'refot', 'pytest'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code, str(door)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
