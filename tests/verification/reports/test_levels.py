"""Levels and digits of results, and the short report: what counts, what comes first, how long."""

from __future__ import annotations

import io
import math
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from newcomers import NEWCOMERS
from rich.cells import cell_len
from rich.console import Console

import refot
from refot.verification.cases.case import Difficulty, collect
from refot.verification.certificates.intervals import Interval
from refot.verification.checks import CHECKS
from refot.verification.checks.digits import counts, digits
from refot.verification.checks.trial import Finding
from refot.verification.reports.rerun import Rerun
from refot.verification.reports.short import MOST_LINES, Line, print_short, short_lines
from refot.verification.reports.verdict import causes
from refot.verification.runs.digit_table import digit_table
from refot.verification.runs.levels import LEVELS, Level, exit_status, worst
from refot.verification.runs.run import CheckResult, Report, run
from refot.verification.subjects.loading import as_subject
from refot.verification.subjects.subject import Part, Subject
from refot.verification.zoo.plain import PLAIN, plain_subject


def result(status: str = "failed", id: str = "value.certified", **rest) -> CheckResult:
    return CheckResult(id, "p", "value", "a case", status, **{"measured": 1.0} | rest)


# ------------------------------------------------------------------ levels
@pytest.mark.parametrize(("found", "level"), [
    (result("passed"), Level.RIGHT), (result("not_provided"), Level.UNKNOWN),
    (result("refot_error"), Level.UNKNOWN), (result(difficulty="ordinary"), Level.WRONG),
    (result(difficulty="ordinary", said="did not converge"), Level.WRONG),
    (result(difficulty="ordinary", measured=math.nan), Level.WRONG),
    (result("error", difficulty="ordinary", measured=None), Level.WRONG),
    (result(difficulty="hard"), Level.SILENT), (result(difficulty="extreme"), Level.SILENT),
    (result(difficulty="hard", said="did not converge"), Level.SAID),
    (result(difficulty="extreme", measured=math.inf), Level.SAID),
    (result("error", difficulty="hard", measured=None), Level.SILENT),  # of the wrong shape
    (result("error", difficulty="hard", measured=None, said="ValueError: no"), Level.SAID),
    (result("not_converged", difficulty="extreme", said="it warns"), Level.SAID),
    (result(id="value.refuses-nan-cost", difficulty="ordinary"), Level.LAX),
    (result("error", id="value.refuses-nan-cost", difficulty="ordinary"), Level.WRONG),  # a crash
])
def test_the_level_of_a_result(found: CheckResult, level: Level) -> None:
    assert found.level is level


def test_what_counts_for_the_exit_status() -> None:
    assert [exit_status([level]) for level in LEVELS] == [1, 1, 0, 0, 2, 0]
    assert [exit_status([level], strict=True) for level in LEVELS] == [1, 1, 1, 1, 2, 0]
    assert exit_status([]) == 2
    assert worst([Level.RIGHT, Level.UNKNOWN, Level.LAX]) is Level.LAX
    assert worst([Level.RIGHT, Level.UNKNOWN]) is Level.RIGHT
    assert worst([]) is Level.UNKNOWN


def test_which_case_is_how_difficult() -> None:
    """Some of each; those whose float arithmetic or eps is in the way are not ordinary."""
    cases = collect("quick")[0]
    found = {case.name for case in cases if case.difficulty is Difficulty.HARD}
    assert found >= {"huge-eps", "float32", "offset", "zero-weights", "small-eps"}
    for case in cases:
        if case.difficulty is Difficulty.ORDINARY:
            assert not case.single
            assert case.a.min() > 0
            assert case.b.min() > 0
            assert case.spread <= 200 * case.eps


def test_what_is_said_of_a_hard_case_makes_the_level() -> None:
    """The same wrong plan in silence, with a warning, as an error, and as a NaN."""

    def plan(C, a, b, eps, how):
        P = refot.plan(*refot.solve(C, a, b, eps)[:2], C, a, b, eps) if how == "right" else 2 * (
            np.outer(a, b))
        if how == "warns":
            warnings.warn("Sinkhorn did not converge", stacklevel=1)
        if how == "raises":
            raise OverflowError("too large")
        return P * math.nan if how == "nan" else P

    found = {}
    for how in ("silent", "warns", "raises", "nan"):
        def hard_only(C, a, b, eps, how=how):
            if (a == 0).any():
                return plan(C, a, b, eps, how)
            raise NotImplementedError("only on one case")

        report = run(as_subject(hard_only, how, "plan"))
        found[how] = {check.level for check in report.checks if check.id == "plan.entries"
                      and check.case == "zero-weights"}
    # a warning counts only where an easy problem does not get it: here that has no answer at all
    assert found == {"silent": {Level.SILENT}, "warns": {Level.SAID}, "raises": {Level.SAID},
                     "nan": {Level.SAID}}


# ------------------------------------------------------------------ digits
@pytest.mark.parametrize(("error", "expected", "scale", "right"), [
    (1e-3, Interval(10.0, 10.0), None, 4.0), (1e-3, Interval(-10.0, -10.0), None, 4.0),
    (1e-3, Interval(10.0, 10.0), 1.0, 3.0), (1e-3, Interval(0.0, 0.0), None, 3.0),
    (0.0, Interval(1.0, 1.0 + 1e-6), None, 6.0), (1e-9, Interval(1.0, 1.0 + 1e-6), None, 6.0),
    (0.0, Interval(1.0, 1.0), None, 53 * math.log10(2)), (50.0, Interval(1.0, 1.0), None, 0.0),
    (math.nan, Interval(1.0, 1.0), None, 0.0), (math.inf, Interval(1.0, 1.0), None, 0.0),
])
def test_digits_are_the_log_relative_error_capped_by_the_width(
    error: float, expected: Interval, scale: float | None, right: float
) -> None:
    found = Finding(1.0, expected, error, 1.0, scale=scale)
    measured = digits("value.certified", found)
    assert measured is not None
    assert abs(measured - right) < 1e-5
    for id in ("value.refuses-nan-cost", "value.split", "plan.honest", "converged.true"):
        assert digits(id, found) is None
    assert digits("value.certified", replace(found, expected=None)) is None


def test_every_answer_has_a_check_that_counts_digits() -> None:
    assert {check.capability for check in CHECKS.values() if counts(check.id)} == {
        check.capability for check in CHECKS.values()} - {"train_step", "converged"}


def test_the_table_of_digits_has_the_worst_and_the_median() -> None:
    rows = digit_table([result(digits=d, difficulty=level) for level in ("hard", "ordinary")
                        for d in (3.0, 9.0, 8.0, None)])
    assert [row.difficulty for row in rows] == ["ordinary", "hard"]
    assert {(row.worst, row.median, row.comparisons) for row in rows} == {(3.0, 8.0, 3)}


# ------------------------------------------------------------------ plain and right
SOLVED = ("potentials", "plan", "value", "transport_cost", "informative_plan", "divergence",
          "divergence_gradient")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("capability", [
    pytest.param(name, marks=pytest.mark.slow if name in SOLVED and name != "plan" else ())
    for name in PLAIN])
def test_a_right_function_without_argument_checks_is_lax_and_not_wrong(capability: str) -> None:
    report = run(plain_subject(capability))
    assert report.at(Level.WRONG, Level.SILENT) == []
    assert report.exit_status == 0
    lax = report.at(Level.LAX)
    assert lax or capability in ("mutual_information", "q_objective")  # NumPy refuses for them
    assert report.exit_status_of(strict=True) == int(bool(lax or report.at(Level.SAID)))


def test_there_are_ten_plain_ones() -> None:
    assert len(PLAIN) >= 10


# ------------------------------------------------------------------ the short report
UNNAMED = ("value_of_one_potential",)
"""Nothing in the catalogue describes this one: a potential has any constant that its solver leaves
in it, so that the wrong answer does not follow from the problem."""

QUICK_ONES = ("plan_as_conditional", "mmd_without_one_self_term")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in QUICK_ONES else pytest.mark.slow)
    for name in NEWCOMERS if name not in UNNAMED])
def test_the_true_cause_stands_within_the_first_ten_lines(name: str) -> None:
    newcomer = NEWCOMERS[name]
    report = run(newcomer.subject(name))
    lines = [line.text for line in short_lines(report, 80)]
    assert any(re.search(newcomer.cause, line) for line in lines[2:10]), lines
    assert report.exit_status == 1


def test_twelve_newcomers_were_tried() -> None:
    assert len(NEWCOMERS) == 12
    assert set(UNNAMED) < NEWCOMERS.keys()


def test_the_page_lists_the_newcomers_with_what_is_said_of_them() -> None:
    """The test above looks for the same words in the report."""
    page = (Path(__file__).parents[3] / "docs" / "zoo.md").read_text("utf-8")
    said = dict(re.findall(r"^\| `(\w+)` \|.*\| (.+) \|$", page, re.MULTILINE))
    assert NEWCOMERS.keys() <= said.keys()
    for name, newcomer in NEWCOMERS.items():
        words = said[name].replace("`", "")
        assert bool(re.search(newcomer.cause, words)) == (name not in UNNAMED), name


def many(parts: int, mistakes: int) -> Report:
    """A report of many parts with many causes."""
    made = tuple(Part(f"part {k} " + "x" * (k % 60), {"value": len}) for k in range(parts))
    checks = tuple(replace(result(
        difficulty="ordinary", diagnosis=f"a mistake of the kind {chr(97 + k)} " + "y" * 5 * k,
        expected=(0.0, 0.0), error=1.0, tolerance=1e-6), part=part.name)
        for part in made for k in range(mistakes))
    return Report(Subject("many", "1", made), "quick", "numpy", checks,
                  {f"data {k}": "not installed" for k in range(9)})


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize(("parts", "mistakes"), [(1, 1), (1, 30), (60, 1), (60, 30)])
def test_the_short_report_fits_on_forty_lines(width: int, parts: int, mistakes: int) -> None:
    lines = short_lines(many(parts, mistakes), width, Rerun(("many",)))
    assert printed_rows(many(parts, mistakes), width) <= MOST_LINES
    commands = [line.text for line in lines if line.text.startswith(("next:", "all:"))]
    assert max(len(line.text) for line in lines if line.text not in commands) <= width
    assert commands[0].startswith("next: refot verify many ")
    assert "a mistake of the kind a" in " ".join(line.text for line in lines)


def printed_rows(report: Report, width: int, target: str = "many") -> int:
    """The rows that a terminal of this width shows, which breaks what is longer."""
    out = io.StringIO()
    print_short(report, Console(width=width, file=out), Rerun((target,)))
    return sum(max(1, math.ceil(cell_len(line) / width)) for line in out.getvalue().splitlines())


@pytest.mark.parametrize("width", [80, 100, 137, 200])
def test_a_report_of_the_size_of_pot_fits_on_forty_rows(width: int) -> None:
    """Names of 72 characters, so that the command to run next takes three rows of 80 columns; five
    capabilities and four cases are missing; each row is full."""
    parts = tuple(Part("ot.unbalanced.sinkhorn_unbalanced(method='sinkhorn_stabilized', "
                       f"reg_type='{k}')", {"value": len}) for k in range(40))
    failed = tuple(replace(result(
        difficulty="ordinary", id="unbalanced_value.certified",
        diagnosis=f"mistake {chr(97 + j)} " + "in the words of a longer sentence " * 5,
        expected=(0.0, 1e-9), error=1.0, tolerance=1e-6), part=part.name,
        case="iris-versicolor-virginica") for part in parts for j in range(12))
    missing = tuple(CheckResult("", "p", capability, "", "not_provided")
                    for capability in ("value", "softmin", "semidual", "unbalanced_divergence"))
    left_out = {f"digits-{k}": "scikit-learn is not installed " * 4 for k in range(4)}
    report = Report(Subject("POT", "0.9.7", parts), "quick", "numpy", failed + missing, left_out)
    assert printed_rows(report, width, "path/to/a/folder/file.py:attribute") <= MOST_LINES
    words = " ".join(line.text for line in short_lines(report, width, Rerun(("pot",))))
    assert "mistake a" in words
    assert "other parts (" in words
    assert "other causes: see --verbose" in words


@pytest.mark.parametrize("width", [1, 7, 20])
def test_the_narrowest_terminal_gets_a_report_too(width: int) -> None:
    lines = short_lines(many(2, 2), width, Rerun(("many",)))
    assert len(lines) == len(short_lines(many(2, 2), 20, Rerun(("many",))))
    assert "a mistake of the kind a" in " ".join(line.text.strip() for line in lines)


def test_wide_characters_count_twice() -> None:
    """A character of Chinese takes two columns of a terminal."""
    assert Line("矩" * 40).rows(80) == 1
    assert Line("矩" * 41).rows(80) == 2
    wide = tuple(Part("矩陣" * 30 + str(k), {"value": len}) for k in range(40))
    checks = tuple(replace(result(difficulty="ordinary", error=1.0, tolerance=1e-6), part=part.name)
                   for part in wide)
    report = Report(Subject("wide", "1", wide), "quick", "numpy", checks)
    assert printed_rows(report, 80) <= MOST_LINES


def test_a_name_that_begins_with_a_tab_is_shown_with_its_escape() -> None:
    parts = (Part("\tp", {"value": len}), Part("q", {"value": len}))
    checks = (replace(result(difficulty="ordinary", error=1.0, tolerance=1e-6), part="\tp"),)
    lines = short_lines(Report(Subject("s", "1", parts), "quick", "numpy", checks), 80)
    assert any(line.text.startswith(r"         \tp: value.certified") for line in lines)
    assert all(line.text.isprintable() for line in lines)


def test_equal_causes_are_one_and_the_worst_come_first() -> None:
    checks = (
        result(id="value.refuses-nan-cost", difficulty="ordinary"),
        result(difficulty="extreme", diagnosis="not converged: marginal errors 0.1 (rows)"),
        result(difficulty="hard", diagnosis="its own plan: not converged: the answer after 5"),
        result(difficulty="ordinary", diagnosis=""),
        result(difficulty="ordinary", diagnosis="eps is halved (off by 1, fits 1 of 2)"))
    checks = tuple(sorted(checks, key=lambda each: LEVELS.index(each.level)))
    report = Report(Subject("s", "", (Part("p", {"value": len}),)), "quick", "numpy", checks)
    assert [(cause.level.value, cause.words, len(cause.results)) for cause in causes(report)] == [
        ("wrong", "eps is halved", 1), ("wrong", "no known mistake gives these answers", 1),
        ("silent", "not converged", 2), ("lax", "bad input is answered with a number", 1)]
