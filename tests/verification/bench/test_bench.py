"""`refot bench`, end to end on a tiny problem: who is right is timed, who is not is reported."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from refot.arrays import UnknownNameError
from refot.cli.app import app
from refot.verification.bench import report as pages
from refot.verification.bench import throughput, timing
from refot.verification.bench.child import Child, PeerFailed, RunLimits
from refot.verification.bench.criterion import CRITERIA
from refot.verification.bench.figures import (
    plot_half_iterations,
    plot_ratios,
    plot_times,
    shown,
)
from refot.verification.bench.problems import EPS, Cell, grid
from refot.verification.bench.run import HALF, BenchReport, bench
from refot.verification.bench.timing import REFERENCE, Entry, Range, Timing, refused

TINY = Cell("gaussians", 30, 1e-1)
PATIENT = RunLimits(seconds=60.0, memory=4 << 30, threads=1)
MARGINAL, GAP = (criterion.name for criterion in CRITERIA)


@pytest.fixture(scope="module")
def found() -> BenchReport:
    """A run on the numpy backend: nothing is compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "REFERENCE", "refot-numpy")
        peers = [f"bench_peers:{name}" for name in ("right", "lying", "raising", "dying")]
        return bench([TINY], peers, PATIENT, repeats=3, half=None)


def entry(found: BenchReport, name: str) -> Entry:
    (entries,) = found.cells.values()
    return next(each for each in entries if each.peer.endswith(name))


def test_a_right_peer_has_its_time_and_its_ratios(found: BenchReport) -> None:
    peer = entry(found, "right")
    assert not peer.failures
    for name in (MARGINAL, GAP):
        timed = peer.timings[name]
        assert timed.pairs == 3
        assert timed.seconds > 0
        assert timed.ratio is not None
        assert timed.ratio.least <= timed.ratio.median <= timed.ratio.most
    assert peer.timings[MARGINAL].marginal_error <= 1e-6
    assert peer.timings[GAP].gap <= 1e-4
    assert (peer.timings[GAP].iterations or 0) <= (peer.timings[MARGINAL].iterations or 0)


def test_the_reference_runs_beside_itself(found: BenchReport) -> None:
    assert entry(found, "refot-numpy").timings[MARGINAL].ratio is not None


def test_a_lying_peer_has_no_time(found: BenchReport) -> None:
    peer = entry(found, "lying")
    assert not peer.timings
    assert peer.failures[MARGINAL].startswith("does not get there; reached ")


def test_a_peer_that_raises_says_what(found: BenchReport) -> None:
    assert entry(found, "raising").failures[MARGINAL] == "MemoryError: no such matrix"


def test_a_peer_that_dies_says_how(found: BenchReport) -> None:
    assert entry(found, "dying").failures[GAP] == "its process ended, exit code 3"


def test_a_reference_that_dies_is_started_again_and_no_peer_is_blamed(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "REFERENCE", "bench_peers:tiring")
    _, right = timing.compare(TINY, ["bench_peers:right"], PATIENT, 2, lambda name: None)
    assert not right.failures
    assert right.timings[MARGINAL].pairs == 2


@pytest.mark.parametrize("absent", ["raising", "dying"])
def test_without_a_reference_a_peer_is_timed_alone(absent: str, monkeypatch: pytest.MonkeyPatch
                                                   ) -> None:
    monkeypatch.setattr(timing, "REFERENCE", f"bench_peers:{absent}")
    reference, right = timing.compare(TINY, ["bench_peers:right"], PATIENT, 1, lambda name: None)
    assert set(reference.failures) == {MARGINAL, GAP}
    assert right.timings[MARGINAL].seconds > 0
    assert right.timings[MARGINAL].ratio is None


def test_a_peer_that_hangs_is_killed() -> None:
    with Child("bench_peers:hanging", TINY.instance(), RunLimits(seconds=0.5, threads=1)) as child:
        with pytest.raises(PeerFailed, match=r"no answer within 0\.5 s"):
            child.run(1e-6)
        assert not child.alive
        with pytest.raises(PeerFailed, match="it had ended"):
            child.run(1e-6)


def test_a_peer_that_cannot_start_is_refused() -> None:
    assert refused("bench_peers:absent", TINY.n, PATIENT) == "no_such_package is not installed"
    assert refused("bench_peers:huge", 100_000, PATIENT) == "needs matrices of 224 GiB"
    assert refused("bench_peers:right", 100_000, PATIENT) == ""


def test_an_unknown_peer_is_an_error_before_any_work() -> None:
    for name in ("pott", "bench_peers:PATIENT"):
        with pytest.raises(UnknownNameError, match="peer"):
            bench([TINY], [name], PATIENT, 1)


def test_half_iterations_are_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "REFERENCE", "refot-numpy")
    peers = ["bench_peers:right", "bench_peers:absent"]  # neither has a half-iteration
    (ours,) = throughput.rates(TINY, peers, PATIENT, 2)
    assert ours.peer == "refot-numpy"
    assert ours.pairs_per_second is not None
    assert ours.pairs_per_second > 0
    assert ours.ratio is not None


def test_half_iterations_without_a_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "REFERENCE", "bench_peers:right")  # it has none
    ours, numpy = throughput.rates(TINY, ["refot-numpy"], PATIENT, 1)
    assert ours.failure
    assert numpy.pairs_per_second is not None
    assert numpy.ratio is None


# ------------------------------------------------------------------ the report
def made() -> BenchReport:
    """A report written by hand: two sizes, a peer twice as slow, a peer that failed."""
    report = BenchReport({"processor": "P", "cores": 2, "memory_GiB": 8, "system": "S",
                          "python": "3", "numpy": "2"}, PATIENT, 5, loads=[0.5, 1.25])
    for n, seconds in ((1_000, 0.01), (10_000, 1.0)):
        cell = Cell("gaussians", n, 1e-2)
        timings = [{name: Timing(times * seconds, seconds, Range(times, times, times), None, 5,
                                 1e-6, 10, 9e-7, 1e-5) for name in (MARGINAL, GAP)}
                   for times in (1, 2)]
        report.places[cell.name] = cell
        report.cells[cell.name] = [
            Entry(REFERENCE, "0", peak=10**7, timings=timings[0]),
            Entry("slow", "0", peak=10**7, timings=timings[1]),
            Entry("failed", failures={MARGINAL: "not today", GAP: "nor that"})]
    return report


def test_tables_hold_times_ratios_and_failures() -> None:
    report = made()
    page = pages.markdown(report)
    row = "| slow | 0.02 | 2 (2-2) |  | 10 | 2 | 0.02 | 2 (2-2) | 10 |"
    assert row in page.splitlines()
    assert "| failed | not today |  |  |  |  | nor that |  |  |" in page.splitlines()
    assert "load average meanwhile: 0.5 to 1.2" in page
    console = Console(width=200, file=io.StringIO())
    pages.print_report(report, console)
    assert "gaussians n=10000 eps=1e-02" in console.file.getvalue()


def test_json_is_read_back(tmp_path: Path) -> None:
    pages.write_json(made(), tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text())
    first = read["cells"][0]
    assert (first["family"], first["n"], first["eps"]) == ("gaussians", 1000, 0.01)
    assert first["entries"][1]["timings"][MARGINAL]["ratio"]["median"] == 2


def test_the_plot_has_a_curve_for_each_peer_that_got_there() -> None:
    first, second = plot_times(made(), MARGINAL).axes
    assert (first.get_title(), second.get_title()) == (
        "points of the plane, n = 1,000", "points of the plane, n = 10,000")
    for axes in (first, second):
        curves, names = axes.get_legend_handles_labels()
        assert names == ["slow"]  # refot is the line at 1; "failed" never arrived
        assert list(curves[0].lines[0].get_ydata()) == [2.0]


def test_error_bars_reach_from_the_least_to_the_most() -> None:
    ratios = {"a": {0.1: Range(1, 2, 5), 0.01: Range(3, 4, 4)}}
    (axes,) = plot_ratios({"title": ratios}, "times").axes
    (bars,) = axes.get_legend_handles_labels()[0][0].lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [[3, 4], [1, 5]]
    (halves,) = plot_half_iterations({"slow": Range(8, 9, 12), "fast": Range(1, 2, 3)}).axes
    assert [bar.get_width() for bar in halves.patches] == [9, 2]


def test_a_panel_shows_the_peers_that_arrived_most_often_and_then_the_fastest() -> None:
    curves = {f"peer{k}": {0.1: Range(k, k, k)} for k in range(1, 9)}
    curves["often"] = {0.1: Range(99, 99, 99), 0.01: Range(99, 99, 99)}
    assert shown(curves) == ["often", "peer1", "peer2", "peer3", "peer4"]


# ------------------------------------------------------------------ the command
def test_the_list_names_peers_and_problems() -> None:
    out = CliRunner().invoke(app, ["bench", "--list"])
    assert out.exit_code == 0
    assert "pot-scaling" in out.output
    assert "mnist n=1000 eps=1e-04" in out.output


@pytest.mark.parametrize(("wrong", "said"), [
    (["--peers", "nobody"], "'nobody'"), (["--peers", "no.module:x"], "No module named 'no'"),
    (["--only", "nothing"], "nothing"), (["--plot", "figure.what"], "what"),
    (["--json", "no/such/folder/file.json"], "a file in a folder that exists")])
def test_a_wrong_call_is_refused_before_any_work(wrong: list[str], said: str) -> None:
    out = CliRunner().invoke(app, ["bench", *wrong])
    assert isinstance(out.exception, ValueError)
    assert said in str(out.exception)


def test_only_goes_by_whole_words() -> None:
    names = [cell.name for cell in grid("full", only=("gaussians n=1000",))]
    assert names == [f"gaussians n=1000 eps={eps:.0e}" for eps in EPS]
    assert HALF.matches(("eps=1e-02",))
    assert not HALF.matches(("n=1000", "gauss"))
