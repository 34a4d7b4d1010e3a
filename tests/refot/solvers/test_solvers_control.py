"""What a user can ask of a solve beside the answer: limits, progress, certificates, warm starts."""

from __future__ import annotations

import itertools
import json
import math
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import mild_cases

import refot
from refot import ConvergenceWarning, InputError
from refot.costs.operands import as_cost
from refot.problem import problem
from refot.solvers import METHODS, newton_cg_iterates, overrelaxed_iterates
from refot.solvers.accuracy import accuracy
from refot.solvers.loop import iterate
from refot.solvers.memory import within
from refot.solvers.overrelaxed import half_step, next_relaxation
from refot.solvers.progress import Bar
from refot.solvers.sinkhorn import log_iterates
from refot.solvers.stopping import Control, StoppedBy
from refot.verification.certificates.certify import certify_value

every_method = pytest.mark.parametrize("method", sorted(METHODS))


def hard(n=60, eps=0.02):
    """Two clouds on which plain iterations need hundreds of steps."""
    rng = np.random.default_rng(4)
    C = refot.point_cost(rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 1)
    return C, np.full(n, 1 / n), np.full(n, 1 / n), eps * C.dense().max()


# ------------------------------------------------------------------ why it ended
def test_what_a_solve_was_stopped_by_is_a_text_with_advice():
    assert [str(reason) for reason in StoppedBy] == [
        "tolerance", "gap", "iterations", "time limit", "max_iter", "rounding", "stall",
        "infeasible"]
    assert [reason for reason in StoppedBy if not reason.advice] == ["tolerance", "gap"]
    assert json.dumps(StoppedBy.TIME_LIMIT) == '"time limit"'
    assert repr(StoppedBy.GAP) == "'gap'"
    again = pickle.loads(pickle.dumps(StoppedBy.STALL))
    assert again is StoppedBy.STALL


def test_a_warning_says_what_to_do():
    with pytest.warns(ConvergenceWarning, match=r"\(stopped by max_iter\): allow more max_iter"):
        found = refot.solve(*hard(), method="sinkhorn", max_iter=2)
    assert found.stopped_by is StoppedBy.MAX_ITER
    C = np.array([[0.0, np.inf], [0.0, 1.0]])  # row 0 has more mass than its only column
    with pytest.warns(ConvergenceWarning, match=r"no plan avoids.*; allow more pairs"):
        refot.solve(C, [0.75, 0.25], [0.5, 0.5], 1.0, max_iter=2)


@pytest.mark.parametrize("call", [
    lambda *p: refot.solve(*p, max_iter=1),
    lambda *p: refot.sinkhorn_log(*p, max_iter=1),
    lambda C, a, b, eps: refot.sinkhorn_symmetric(refot.point_cost(C.x, C.x), a, eps, max_iter=1),
    lambda *p: refot.entropic_value(*p, tol=1e-300),
    lambda C, a, b, eps: refot.sinkhorn_divergence_gradient(C.x, a, C.y, b, eps, tol=1e-300),
], ids=["solve", "log", "symmetric", "value", "gradient"])
def test_a_warning_points_at_the_line_of_the_user(call):
    with pytest.warns(ConvergenceWarning) as record:
        call(*hard(8))
    assert {told.filename for told in record} == {__file__}


def test_a_public_function_opens_its_problem_once(monkeypatch):
    """For a check of a matrix reads all of it."""
    opened = []
    monkeypatch.setattr("refot.problem.as_cost", lambda C: opened.append(C) or as_cost(C))
    C, *rest = hard(8, eps=0.5)
    refot.entropic_value(C.dense(), *rest)
    refot.sharp_value(C.dense(), *rest)
    assert len(opened) == 2
    refot.sinkhorn_divergence(C.x, rest[0], C.y, *rest[1:])
    assert len(opened) == 3  # xy: xx and yy are of points that are then checked


# ------------------------------------------------------------------ limits
@every_method
def test_a_time_limit_ends_every_method_and_the_result_says_so(backend, method):
    with pytest.warns(ConvergenceWarning, match="stopped by time limit"):
        found = refot.solve(*hard(), method=method, tol=1e-12, time_limit=1e-9, backend=backend)
    assert (found.iterations, found.stopped_by, found.converged) == (1, "time limit", False)
    again = refot.marginal_error(found.f, found.g, *hard(), backend=backend)
    assert found.marginal_error == pytest.approx(again, rel=1e-9)
    assert found.marginal_error <= 2 + 1e-9  # sane also where a schedule was cut short


def test_a_time_limit_that_is_not_reached_changes_nothing(backend):
    free, limited = (refot.solve(*hard(), time_limit=t, backend=backend) for t in (None, 1e6))
    assert (free.errors, free.stopped_by) == (limited.errors, "tolerance")


@pytest.mark.parametrize("name", ["time_limit", "gap", "memory"])
@pytest.mark.parametrize("value", [0, -1, math.nan, "soon"])
def test_limits_that_are_none_are_refused(name, value):
    with pytest.raises(InputError, match=name):
        refot.solve(*hard(5), **{name: value})


def test_a_certificate_is_wanted_or_not():
    with pytest.raises(InputError, match="certified: 'yes'; allowed: True or False"):
        refot.solve(*hard(5), certified="yes")


def test_a_progress_that_cannot_be_called_is_refused():
    with pytest.raises(InputError, match="progress"):
        refot.solve(*hard(5), progress="yes")


# ------------------------------------------------------------------ progress
@every_method
def test_progress_is_called_after_each_iteration(method):
    calls = []
    found = refot.solve(*hard(20, 0.2), method=method, progress=lambda *call: calls.append(call))
    numbers, errors, seconds = zip(*calls, strict=True)
    assert numbers == tuple(range(1, found.iterations + 1))
    assert errors == found.errors
    assert all(before <= after for before, after in itertools.pairwise(seconds))
    assert seconds[-1] <= found.seconds


def test_the_bar_is_drawn_on_a_long_solve_only(capsys, monkeypatch):
    refot.solve(*hard(20, 0.2), progress=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("refot.solvers.progress.DELAY", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    refot.solve(*hard(20, 0.2), progress=True)
    out, err = capsys.readouterr()
    assert (out, "marginal error" in err) == ("", True)


def test_the_bar_counts_digits():
    bar = Bar(1e-8)
    bar(1, math.inf, 0.0)  # a stage of a schedule
    bar(2, 1e-2, 0.0)
    assert bar.part(1e-5) == pytest.approx(0.5)
    assert [bar.part(e) for e in (math.inf, 1e-2, 1e-8, 0.0)] == [0.0, 0.0, 1.0, 1.0]


# ------------------------------------------------------------------ the certified gap
@every_method
def test_a_certified_result_contains_the_value(backend, method):
    case = hard(30, 0.1)
    found = refot.solve(*case, method=method, certified=True, backend=backend)
    judge = certify_value(*case, found.g)
    assert found.gap.lower <= judge.upper
    assert judge.lower <= found.gap.upper
    assert found.gap.relative < 1e-7


@every_method
def test_a_solve_stops_early_at_the_gap_that_was_asked_for(backend, method):
    found = refot.solve(*hard(), method=method, tol=1e-13, gap=1e-3, max_iter=3000,
                        backend=backend)
    assert (found.converged, found.stopped_by) == (True, "gap")
    assert found.gap.relative <= 1e-3
    assert found.marginal_error > 1e-13


def test_checks_of_the_gap_take_a_small_part_of_the_time(monkeypatch):
    """A check that takes 20 ms, iterations that take 1: few of them are checked. The clock goes on
    by these alone."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    spent = [0.0]
    import refot.solvers.stopping as stopping

    monkeypatch.setattr(stopping, "time", clock)

    def slow(p, g):
        clock.now += 0.02
        spent[0] += 0.02
        return stopping.CertifiedGap(0.0, 1.0), None  # never narrow enough

    def paced(iterates):
        for iterate_ in iterates:
            clock.now += 1e-3
            yield iterate_

    monkeypatch.setattr(stopping, "gap_and_sums", slow)
    p = problem(*hard(), backend="numpy")
    with pytest.warns(ConvergenceWarning, match="rounding"):
        found = iterate(p, paced(log_iterates(p, np.zeros(60))), 1e-300, 600,
                        Control(gap=1.0, begin=0.0))
    assert spent[0] >= 2 * 0.02  # it was checked on the way, too
    # the last one is the certificate of the result; before it at most one a 20 ms / 0.08
    assert spent[0] <= 0.08 * found.seconds + 2 * 0.02


@pytest.mark.parametrize("weights", ["positive", "some 0"])
def test_a_solve_that_ends_by_its_gap_has_the_accuracy_of_its_potentials(weights):
    """It takes the sums from the proof of the gap. Tolerance: two sums of 60 terms may differ by 60
    roundings, 1e-14 of their size, and the errors are sums of such differences."""
    C, a, b, eps = hard()
    if weights == "some 0":
        a = np.where(np.arange(len(a)) % 7 == 0, 0, a)
        a = a / a.sum()
    found = refot.solve(C, a, b, eps, gap=1e-3, tol=1e-14)
    assert found.stopped_by == "gap"
    computed = accuracy(problem(C, a, b, eps), found.f, found.g)
    np.testing.assert_allclose(found.marginal_error, computed.marginal_error, atol=1e-12)
    np.testing.assert_allclose(found.atom_error, computed.atom_error, atol=1e-9)


# ------------------------------------------------------------------ warm starts
@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_warm_start_costs_fewer_iterations(backend, method):
    case = hard(40, 0.05)
    cold = refot.solve(*case, method=method, tol=1e-8, backend=backend)
    near = replace(cold, f=cold.f + 1e-6 * case[3], g=cold.g)
    from_g = refot.solve(*case, method=method, tol=1e-8, g=near.g, backend=backend)
    from_f = refot.solve(*case, method=method, tol=1e-8, f=near.f, backend=backend)
    assert max(from_g.iterations, from_f.iterations) < cold.iterations / 2


def test_a_start_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="f: shape"):
        refot.solve(*hard(5), f=np.zeros(4))


# ------------------------------------------------------------------ over-relaxation, Newton-CG
@given(mild_cases, st.floats(1.0, 1.99), st.integers(0, 2**32 - 1))
def test_the_safeguard_lets_the_dual_rise_at_every_half_step(case, w, seed):
    rng = np.random.default_rng(seed)
    f, g = (case.osc * rng.normal(size=weights.size) for weights in (case.a, case.b))
    p = problem(*case)
    f_next, error = half_step(p.a, f, p.transform(g), p.eps, w)
    before, after = (refot.dual(h, g, *case) for h in (f, f_next))
    assert not after < before - case.rounding(f, g) - 1e-9 * abs(before)
    rows = refot.marginals(f_next, g, *case)[0]
    assert error == pytest.approx(abs(rows - case.a).sum(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("theta", [0.5, 0.9, 0.999])
@pytest.mark.parametrize("w", [1.0, 1.1])
def test_relaxation_is_the_best_for_the_rate_that_was_seen(theta, w):
    """Young: l of (l + w - 1)^2 = l w^2 theta gives back theta, whatever w was."""
    s = w * math.sqrt(theta) / 2
    rate = (s + math.sqrt(s**2 - (w - 1))) ** 2
    errors = [rate**k for k in range(12)]
    assert next_relaxation(errors, w) == pytest.approx(
        min(2 / (1 + math.sqrt(1 - theta)), 1.995), rel=1e-9)


def test_over_relaxation_takes_a_fraction_of_the_plain_steps(backend):
    p = problem(*hard(100, 0.005), backend=backend)
    steps = [next(k for k, (_, _, error) in enumerate(make(p, np.zeros(100)), 1) if error < 1e-6)
             for make in (log_iterates, overrelaxed_iterates)]
    assert steps[1] < steps[0] / 3


def test_newton_cg_takes_the_plan_from_the_backend_where_memory_is_short(backend):
    """The sparse matrix and the streamed products lead to the same potentials."""
    p = problem(*hard(40, 0.02), backend=backend)
    ends = []
    for memory in (10**9, 1):
        with within(memory):
            iterates = newton_cg_iterates(p, np.zeros(40))
            ends.append(next(g for _, g, error in iterates if error < 1e-9))
    difference = ends[0] - ends[1]
    assert np.ptp(difference) < 1e-6


def test_float32_problems_run_with_every_method_that_allows_them(backend):
    C, a, b, eps = hard(30, 0.2)
    C, a, b = C.with_arrays(np.float32), a.astype(np.float32), b.astype(np.float32)
    for method in sorted(set(METHODS) - {"newton", "mixed"}):
        found = refot.solve(C, a, b, eps, method=method, tol=3e-5, backend=backend)
        assert (found.converged, found.g.dtype) == (True, np.float32)
    with pytest.raises(InputError, match="float32"):
        refot.solve(C, a, b, eps, method="mixed")


@pytest.mark.parametrize("method", ["sinkhorn", "schedule", "stabilised"])
def test_a_gap_that_is_there_at_the_end_counts(method):
    """Checks of the gap are seldom on the way: the last one decides."""
    rng = np.random.default_rng(0)
    x, y, a = rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + 1, np.full(300, 1 / 300)
    C = refot.point_cost(x, y)
    eps = 1e-2 * C.dense().max()
    found = refot.solve(C, a, a, eps, method=method, gap=1e-3, tol=1e-13, max_iter=60)
    assert found.gap.relative <= 1e-3
    assert (found.converged, found.stopped_by) == (True, "gap")
