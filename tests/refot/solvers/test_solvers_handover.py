"""When `auto` changes hands, and what looks at the clock within an iteration."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

import refot
from refot.problem import problem
from refot.solvers.ascent import STALL, Gains, line_search
from refot.solvers.newton_cg import conjugate_gradients
from refot.solvers.overrelaxed import overrelaxed_iterates
from refot.solvers.stopping import Control, Watch, out_of_time
from refot.solvers.unbalanced import auto as unbalanced_auto
from refot.unbalanced_problem import unbalanced_problem

auto = sys.modules["refot.solvers.auto"]  # the module; the package has the function of its name


def small():
    rng = np.random.default_rng(0)
    C, a = refot.point_cost(rng.normal(size=(6, 2)), rng.normal(size=(6, 2))), np.full(6, 1 / 6)
    return problem(C, a, a, 0.5)


def scripted(monkeypatch, **errors):
    """Methods that yield these errors and then the last one for ever; each notes its start."""
    starts = []

    def method(name):
        def iterates(p, g):
            starts.append((name, float(g[0])))
            for error in itertools.chain(errors[name], itertools.repeat(errors[name][-1])):
                g = g + 1
                yield g, g, error
        return iterates

    monkeypatch.setattr(auto, "newton_cg_iterates", method("cg"))
    monkeypatch.setattr(auto, "newton_of_smaller", method("dense"))
    return starts, method("sweeps")


def test_newton_hands_over_where_it_crawls(monkeypatch):
    """It did so only once it ended: thousands of iterations later."""
    starts, _ = scripted(monkeypatch, cg=[1e-12], dense=[1.0])

    def crawls(p, g):
        for k in itertools.count():
            yield g, g + k, 0.99**k

    monkeypatch.setattr(auto, "newton", crawls)
    iterates = auto.newton_first(auto.BALANCED, small(), np.zeros(6))
    errors = [e for _, _, e in itertools.islice(iterates, 300)]
    halvings = int(np.log(0.5) / np.log(0.99)) + 1  # iterations that half the error, above TURN
    assert halvings > auto.TURN
    assert starts[0] == ("cg", float(auto.TURN))
    assert min(errors) <= 1e-12


def test_each_method_goes_on_where_the_one_before_it_stood_still(monkeypatch):
    starts, sweeps = scripted(monkeypatch, cg=[1.0, 0.4, 0.3], dense=[0.2], sweeps=[0.2, 1e-12])
    p = small()
    iterates = auto.in_turns(p, np.zeros(6), auto.newton_and(sweeps, p))
    errors = [e for _, _, e in itertools.islice(iterates, 100)]
    # .4 is the last gain of the first; .2 the only one of the second
    turns = [("cg", 0.0), ("dense", 2.0 + auto.TURN), ("sweeps", 3.0 + 2 * auto.TURN)]
    assert starts[:3] == turns
    assert min(errors) == 1e-12


def test_turns_end_where_a_round_gains_nothing_and_the_last_iterate_is_the_best(monkeypatch):
    starts, sweeps = scripted(monkeypatch, cg=[0.5], dense=[0.3, 0.4], sweeps=[0.6])
    p = small()
    iterates = list(auto.in_turns(p, np.zeros(6), auto.newton_and(sweeps, p)))
    assert len(starts) == 3 * auto.ROUNDS
    assert iterates[-1][2] == 0.3


def test_no_dense_hessian_where_there_cannot_be_one(monkeypatch):
    starts, sweeps = scripted(monkeypatch, cg=[0.5], dense=[0.5], sweeps=[0.5])
    monkeypatch.setattr(auto, "NEWTON_LIMIT", 5)
    p = small()
    list(auto.in_turns(p, np.zeros(6), auto.newton_and(sweeps, p)))
    assert {name for name, _ in starts} == {"cg", "sweeps"}


def test_gains_make_cautious_and_waiting_makes_bold():
    p, zero = small(), np.zeros(6)
    gains, cautions = Gains(p), []
    for error in (0.5, 0.4, 0.3, 0.24, 0.24):
        gains.note(zero, zero, error)
        cautions.append(gains.caution)
    assert cautions == pytest.approx([0.5, 0.04, 0.003, 0.24, 0.024])
    assert gains.best[2] == 0.24
    for _ in range(STALL):
        assert not gains.ended or gains.stalled == STALL
        gains.note(zero, zero, 0.24)
    assert gains.ended


def test_long_iterations_look_at_the_clock():
    """Once the time is over: one product of conjugate gradients at most, one try of a step."""
    p, products, tries = small(), [], []

    class Counted(type(p.backend)):
        def softmin(self, *args):
            tries.append(1)
            return super().softmin(*args)

    def product(v):
        products.append(1)
        return v * np.arange(1, 7)

    with Watch(Control(time_limit=1e-9), p, 1e-9):
        assert out_of_time()
        conjugate_gradients(product, np.ones(6), np.ones(6), 1e-9, 500)
        counted = type(p)(p.C, p.a, p.b, p.eps, Counted())
        f = p.transform(np.zeros(6))
        line_search(counted, f, np.zeros(6), -100 * np.arange(6.0), np.ones(6))
    assert not out_of_time()
    assert (len(products), len(tries)) == (1, 1)
    conjugate_gradients(product, np.ones(6), np.ones(6), 1e-9, 500)
    assert len(products) > 3


@pytest.mark.parametrize("rho", [None, 5.0])
def test_the_dense_hessian_is_that_of_the_smaller_measure(monkeypatch, rho):
    """auto hands over to Newton's method on a matrix with few rows: no matrix (m, m) is formed."""
    seen = []
    direction = sys.modules["refot.solvers.newton"].newton_direction

    def watched(C, p, *rest):
        seen.append(p.C.shape)
        return direction(C, p, *rest)

    monkeypatch.setattr(sys.modules["refot.solvers.newton"], "newton_direction", watched)
    C = np.random.default_rng(0).random((8, 300))
    p = problem(C, None, None, 1e-3) if rho is None else unbalanced_problem(
        C, None, None, 1e-3, rho)
    stages = (auto.newton_and(overrelaxed_iterates, p) if rho is None
              else unbalanced_auto._newton_and_products(p))
    for stage in stages[:2]:
        for _ in itertools.islice(stage(p, np.zeros(300)), 5):
            pass
    assert set(seen) == {(300, 8)}
