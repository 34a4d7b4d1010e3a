"""The benchmark of unbalanced problems: its criterion, what each peer means, who is stopped."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import refot
from refot.arrays import InputError
from refot.cli.app import app
from refot.verification.bench import unbalanced
from refot.verification.bench.child import Child, PeerFailed, RunLimits
from refot.verification.bench.criterion import Answer, Judgement, judge
from refot.verification.bench.peers.unbalanced import free, peers
from refot.verification.bench.problems import Cell, UnbalancedCell

CELL = UnbalancedCell("gaussians", 30, 1e-1, None, 20.0)
INSTANCE = CELL.instance()
GIVEN = (INSTANCE.C, INSTANCE.a, INSTANCE.b, INSTANCE.eps, INSTANCE.rho)


def optimum() -> tuple[np.ndarray, np.ndarray]:
    found = refot.solve(*GIVEN[:4], rho=INSTANCE.rho, tol=1e-12)
    return found.f, found.g


# ------------------------------------------------------------------ the criterion
def test_an_optimal_answer_meets_it_at_any_level_and_with_either_half() -> None:
    f, g = optimum()
    for answer in (Answer(f, g), Answer(f + 3.0, g - 3.0), Answer(f + np.linspace(0, 1, 30), g)):
        assert judge(INSTANCE, answer).gap < 1e-10
    assert judge(INSTANCE, Answer(f, g)).marginal_error < 1e-10


def test_the_gap_contains_the_distance_to_the_optimum() -> None:
    U = refot.unbalanced_value(*GIVEN)
    f, g = np.linspace(0, 1, 30), np.linspace(-1, 1, 30)
    least = refot.unbalanced_dual(*unbalanced_best(f, g), *GIVEN)
    assert judge(INSTANCE, Answer(f, g)).gap >= (U - least) / U * (1 - 1e-9) > 0.01


def unbalanced_best(f: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best f for g, at the best level: no dual of (f, g) or of it is larger here."""
    h = refot.softmin(INSTANCE.C, g + INSTANCE.eps * np.log(INSTANCE.b), INSTANCE.eps)
    best = INSTANCE.rho / (INSTANCE.rho + INSTANCE.eps) * h
    pairs = [(best, g), (f, g)]
    shifts = [refot.unbalanced_shift(*pair, *GIVEN) for pair in pairs]
    moved = [(u + t, v - t) for (u, v), t in zip(pairs, shifts, strict=True)]
    return max(moved, key=lambda pair: refot.unbalanced_dual(*pair, *GIVEN))


@pytest.mark.parametrize("wrong", [np.full(30, np.nan), np.zeros(29)])
def test_what_is_no_potential_meets_nothing(wrong: np.ndarray) -> None:
    assert judge(INSTANCE, Answer(wrong, np.zeros(30))) == Judgement(math.inf, math.inf)


# ------------------------------------------------------------------ the peers
@pytest.mark.parametrize("peer", [peer for peer in peers() if peer.name not in (
    "ott-unbalanced-lse", "ott-unbalanced-anderson")], ids=lambda peer: peer.name)
def test_each_peer_answers_the_problem_that_is_asked(peer) -> None:
    """One of OTT's three, for they differ in options alone. GeomLoss has no tolerance."""
    pytest.importorskip(peer.package[0])
    judged = judge(INSTANCE, peer.prepare(INSTANCE)(1e-2 if "geomloss" in peer.name else 1e-7))
    assert judged.gap <= (1e-3 if "geomloss" in peer.name else 1e-6)


def test_a_balanced_problem_is_refused() -> None:
    with pytest.raises(TypeError, match="balanced"):
        free(Cell("gaussians", 5, 1e-1).instance())


# ------------------------------------------------------------------ the table
def test_a_line_for_each_peer_and_who_computes_for_ever_is_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(unbalanced, "REFERENCE", "bench_peers:right_free")
    monkeypatch.setattr(unbalanced, "LEAST", 1.0)
    names = ["bench_peers:lying"] + ["bench_peers:busy"] * (sys.platform != "win32")
    limits, path = RunLimits(600.0, 4 << 30, 1), tmp_path / "found.json"
    table = list(unbalanced.lines([CELL], names, limits, 2, path))
    assert table[2].startswith(f"| {CELL.name} | bench_peers:right_free | ")
    assert "does not get there" in table[3]
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [each["peer"] for each in found] == ["bench_peers:right_free", *names]
    assert found[0]["timing"]["gap"] <= 1e-6
    assert found[1]["timing"] is None
    if len(names) > 1:
        assert "s of the processor" in table[4]


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_CPU")
def test_the_limit_is_that_of_one_run_and_not_of_the_process() -> None:
    """Four short runs pass; a run that takes longer is stopped."""
    limits = RunLimits(600.0, 4 << 30, 1, processor=2.0)
    with Child("bench_peers:right_free", INSTANCE, limits) as child:
        assert all(child.run(1e-6).processor < 2 for _ in range(4))
    with (Child("bench_peers:busy", INSTANCE, limits) as child,
          pytest.raises(PeerFailed, match="no answer within 2 s of the processor")):
        child.run(1e-6)


def test_cells_are_chosen_by_their_words() -> None:
    assert len(unbalanced.cells_of([])) == 27
    assert len(unbalanced.cells_of(["n=10000", "mnist n=1000 eps=1e-03"])) == 12
    with pytest.raises(InputError, match="only"):
        unbalanced.cells_of(["n=7"])


@pytest.mark.parametrize("wrong", [
    ["--peers", "nobody"], ["--only", "n=7"], ["--json", "no/such/folder/found.json"]])
def test_a_wrong_call_is_refused_before_any_work(wrong: list[str]) -> None:
    assert isinstance(CliRunner().invoke(app, ["bench", "--unbalanced", *wrong]).exception,
                      ValueError)
