"""The tables of peers are counted from reports: by capability and by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from refot.verification.tools.peer_tables import by_capability, by_case, main, totals


def report(name: str, *checks: tuple[str, str, str, str]) -> dict[str, Any]:
    """A report of checks (part, capability.what, case, status)."""
    return {"subject": {"name": name, "version": "1"}, "checks": [
        {"part": part, "id": f"{of}.x" if "." not in of else of, "case": case, "status": status,
         "capability": of.partition(".")[0]} for part, of, case, status in checks]}


TWO = report(
    "two", ("f", "plan", "gaussian", "passed"), ("f", "plan", "gaussian#3", "failed"),
    ("f", "plan", "tiny-eps", "error"), ("g", "plan", "gaussian", "passed"),
    ("g", "plan", "tiny-eps", "failed"), ("g", "value", "gaussian", "passed"),
    ("g", "value", "offset", "not_provided"), ("g", "value.refuses-nan", "gaussian", "failed"),
    ("two", "mmd", "", "not_provided"))
ONE = report("one", ("h", "mmd", "gaussian", "passed"),
             *(("h", "value", case, "failed") for case in ("gaussian", "l1", "offset", "float32")))


def test_by_capability_the_right_ones_are_counted_and_else_the_best_is_told() -> None:
    assert by_capability([TWO, ONE]).splitlines() == [
        "| capability | two 1 | one 1 |", "| --- | --- | --- |",
        "| `plan` | fails 1 of 2: tiny-eps | - |",
        "| `value` | 1 of 1 right | fails 4 of 4: 4 cases |",
        "| `mmd` | - | 1 of 1 right |"]


def test_by_case_copies_are_one_case_and_errors_no_pass() -> None:
    assert by_case([TWO, ONE]).splitlines() == [
        "| case | two 1 | one 1 |", "| --- | --- | --- |",
        "| `gaussian` | 1 of 2 | 0 of 1 |", "| `l1` | - | 0 of 1 |", "| `float32` | - | 0 of 1 |",
        "| `offset` | - | 0 of 1 |", "| `tiny-eps` | 0 of 2 | - |", "| `bad input` | 0 of 1 | - |"]


def test_in_the_totals_errors_are_no_pass_and_what_is_not_provided_is_not_counted() -> None:
    assert totals([TWO, ONE]) == "In all they pass: two 3 of 7, one 1 of 5."


def test_a_solve_that_says_that_it_did_not_converge_is_counted_and_no_pass() -> None:
    early = report("early", ("f", "plan", "tiny-eps", "not_converged"),
                   ("f", "plan", "gaussian", "passed"))
    assert totals([early]) == "In all they pass: early 1 of 2."
    assert "| `tiny-eps` | 0 of 1 |" in by_case([early])


def test_unbalanced_transport_is_left_out() -> None:
    both = report("both", ("f", "plan", "gaussian", "passed"),
                  ("u", "unbalanced_plan", "gaussian", "failed"))
    assert totals([both]) == "In all they pass: both 1 of 1."
    assert "unbalanced" not in by_capability([both])
    assert "| `gaussian` | 1 of 1 |" in by_case([both])


def test_the_program_prints_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.json").write_text(json.dumps(TWO))
    main([str(tmp_path / "two.json")])
    printed = [by_capability([TWO]), by_case([TWO]), totals([TWO])]
    assert capsys.readouterr().out == "\n\n".join(printed) + "\n"
