"""`refot bench --quick`: rows of times and failures, the JSON file, and the table of the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from refot.arrays import InputError, UnknownNameError
from refot.cli.app import app
from refot.verification.bench.criterion import CRITERIA
from refot.verification.bench.problems import Cell
from refot.verification.bench.quick import parts as quick_parts
from refot.verification.bench.quick.report import markdown, plot, read_json, write_json
from refot.verification.bench.quick.rows import Row, Stopwatch, bench_quick, timed

DOCS = Path(__file__).resolve().parents[3] / "docs"
KEPT = sorted((DOCS / "benchmarks").glob("*.json"))
PAIRS = [(Stopwatch(0.1, 0.2), Stopwatch(0.3, 0.2)), (Stopwatch(0.1, 0.1), Stopwatch(0.2, 0.3))]


def rows() -> Iterator[Row]:
    """A peer that is slower, and one that is not there."""
    row = Row("balanced", "a problem", "gap 1e-4", "slow", "1.0", (1e-5, 9e-5))
    yield timed(row, *zip(*PAIRS, strict=True))
    yield Row("balanced", "a problem", "gap 1e-4", "absent", failure="absent is not installed")


def report() -> dict[str, Any]:
    return bench_quick({"made": rows}).as_dict()


def test_a_row_has_the_ratio_of_each_pair() -> None:
    row = next(rows())
    assert row.clock is not None
    assert row.processor is not None
    assert (row.clock.ratio.least, row.clock.ratio.most) == pytest.approx((2, 3))
    assert row.processor.ratio.median == pytest.approx(2)
    assert row.clock.refot.median == pytest.approx(0.1)


def test_the_table_has_times_and_failures() -> None:
    *_, slow, absent = markdown(report()).splitlines()
    assert slow == ("| balanced: a problem | gap 1e-4 | slow 1.0 | 100 | 250 | 2.5 (2-3) | "
                    "2 (1-3) | 1e-05; 9e-05 |")
    assert absent == ("| balanced: a problem | gap 1e-4 | absent |  |  | absent is not installed |"
                      "  |  |")


def test_the_figure_has_a_point_for_each_row_with_times() -> None:
    (axes,) = plot(report()).axes
    (point,) = axes.containers
    assert list(point.lines[0].get_xdata()) == pytest.approx([2])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["slow\nbalanced"]


def test_a_report_is_read_back(tmp_path: Path) -> None:
    found = bench_quick({"made": rows})
    write_json(found, path := tmp_path / "found.json")
    assert read_json(path) == json.loads(json.dumps(found.as_dict()))
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="schema"):
        read_json(path)


def test_peers_in_processes_reach_the_criterion_or_say_why_not(monkeypatch: pytest.MonkeyPatch
                                                               ) -> None:
    monkeypatch.setattr(quick_parts, "REPEATS", 1)
    right, lying, absent = quick_parts.in_processes(
        "balanced", Cell("gaussians", 30, 1e-1), "refot-numpy",
        [f"bench_peers:{name}" for name in ("right", "lying", "absent")], CRITERIA[1])
    assert right.reached is not None
    assert max(right.reached) <= 1e-4
    assert right.clock is not None
    assert lying.failure.startswith("does not get there; reached ")
    assert absent.failure == "no_such_package is not installed"


def test_a_wrong_part_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="nothing"):
        quick_parts.parts(["nothing"])
    out = CliRunner().invoke(app, ["bench", "--quick", "--only", "nothing"])
    assert isinstance(out.exception, UnknownNameError)


@pytest.mark.parametrize("option", [["--peers", "pot-log"], ["--full"], ["--plot", "a.png"]])
def test_options_of_the_grid_are_refused(option: list[str]) -> None:
    out = CliRunner().invoke(app, ["bench", "--quick", *option])
    assert isinstance(out.exception, InputError)
    assert "nothing with --quick" in str(out.exception)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_a_kept_report_is_that_of_its_version(path: Path) -> None:
    assert path.stem == read_json(path)["refot"]


def test_the_page_has_the_table_of_the_newest_report() -> None:
    """`python docs/figures/draw_benchmarks.py` writes it."""
    newest = max(map(read_json, KEPT), key=lambda kept: str(kept["date"]))
    assert markdown(newest) in (DOCS / "benchmarks.md").read_text(encoding="utf-8")
