"""One solve serves the value and all gradients: the argument `solved`, and derivatives in eps."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refot
from refot import InputError

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(6, 2)), RNG.normal(size=(8, 2)) + 0.5
A, B = RNG.dirichlet(np.ones(6)), RNG.dirichlet(np.ones(8))
C, EPS, RHO = refot.point_cost(X, Y), 0.7, 2.0
POINTS = (X, A, Y, B, EPS)
COSTS = tuple(refot.point_cost(*pair).dense() for pair in ((X, Y), (X, X), (Y, Y)))

ONE: dict[str, tuple[Any, ...]] = dict.fromkeys((
    "entropic_value", "entropic_value_gradient_points", "entropic_value_gradient_weights",
    "entropic_value_gradient_eps", "sharp_value", "sharp_value_gradient",
    "sharp_value_gradient_points", "sharp_value_gradient_weights", "plan_jvp", "potentials_jvp"),
    (C, A, B, EPS))
FREE: dict[str, tuple[Any, ...]] = dict.fromkeys((
    "unbalanced_value", "unbalanced_value_gradient_points", "unbalanced_value_gradient_weights",
    "unbalanced_value_gradient_rho", "unbalanced_value_gradient_eps"), (C, 2 * A, B, EPS, RHO))
THREE: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("sinkhorn_divergence", "sinkhorn_divergence_gradient",
                     "sinkhorn_divergence_gradient_weights", "sinkhorn_divergence_gradient_eps",
                     "sinkhorn_loss", "sinkhorn_loss_gradient"), POINTS),
    **dict.fromkeys(("sinkhorn_divergence_of_costs", "sinkhorn_loss_of_costs",
                     "sinkhorn_divergence_of_costs_gradient_weights"), (*COSTS, A, B, EPS)),
    **dict.fromkeys(("unbalanced_divergence", "unbalanced_divergence_gradient",
                     "unbalanced_divergence_gradient_weights"), (*POINTS, RHO)),
    "unbalanced_divergence_of_costs": (*COSTS, A, B, EPS, RHO),
}
ARGUMENTS = ONE | FREE | THREE
MOVED = {"plan_jvp": {"dC": np.ones((6, 8)).cumsum(axis=0)}, "potentials_jvp": {"deps": 1.0}}


def solved_for(name: str) -> Any:
    """The solutions that a function needs, each to rounding."""
    if name in ONE:
        return refot.solve(*ONE[name], tol=1e-13)
    if name in FREE:
        return refot.solve(*FREE[name][:4], rho=RHO, tol=1e-13)
    if "of_costs" in name and "unbalanced" not in name:
        return refot.solve_divergence_of_costs(*ARGUMENTS[name])
    if name == "unbalanced_divergence_of_costs":
        pairs = zip(COSTS, ((A, B), (A, A), (B, B)), strict=True)
        return tuple(refot.solve(M, *weights, EPS, rho=RHO, tol=1e-13) for M, weights in pairs)
    return (refot.solve_unbalanced_divergence if "unbalanced" in name else refot.solve_divergence)(
        *ARGUMENTS[name])


@pytest.fixture
def no_solve(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and from then on nothing can be solved."""
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a problem was solved")

    def begin() -> None:
        for method in ("solve_problem", "solve_symmetric_problem"):
            monkeypatch.setattr(f"refot.solvers.answers.solutions.{method}", refuse)

    return begin


def test_every_function_that_solves_takes_a_solution() -> None:
    """But those that solve what their arguments do not say: batches, and nested problems. Those of
    value and gradient take the last step's solutions, of other points, as `warm`."""
    import inspect

    warm = {name for name in refot.__all__ if name.endswith("_value_and_gradient")}
    assert all("warm" in inspect.signature(getattr(refot, name)).parameters for name in warm)
    takes = {name for name in refot.__all__ if inspect.isfunction(getattr(refot, name))
             and "solved" in inspect.signature(getattr(refot, name)).parameters}
    solves = {name for name in refot.__all__ if inspect.isfunction(getattr(refot, name))
              and "tol" in inspect.signature(getattr(refot, name)).parameters
              and not name.startswith(("solve", "sinkhorn_log", "sinkhorn_symmetric"))}
    assert solves - takes == {"informative_plan", "pairwise"} | warm
    assert takes == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_with_a_solution_nothing_is_solved_and_the_answer_is_the_same(
        name: str, no_solve: Callable[[], None]) -> None:
    """To 1e-11, for both solutions are right to some roundings, which a gradient multiplies by
    |C| / eps < 100."""
    function, arguments, moved = getattr(refot, name), ARGUMENTS[name], MOVED.get(name, {})
    expected, solved = function(*arguments, **moved), solved_for(name)
    no_solve()
    found = function(*arguments, **moved, solved=solved)
    for one, other in zip(np.atleast_1d(found) if not isinstance(found, tuple) else found,
                          np.atleast_1d(expected) if not isinstance(expected, tuple) else expected,
                          strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


def test_a_solution_of_another_problem_is_refused() -> None:
    found = refot.solve(C, A, B, EPS)
    free = refot.solve(C, A, B, EPS, rho=RHO)
    for arguments, differs in (
            ((C, A, B, 2 * EPS), "eps"), ((C, A[::-1], B, EPS), "a"), ((C, A, B[::-1], EPS), "b"),
            ((refot.point_cost(X + 1e-9, Y), A, B, EPS), "C"), ((C.dense(), A, B, EPS), "C"),
            ((refot.point_cost(X, Y, "l1"), A, B, EPS), "C"), ((C.scaled(2.0), A, B, EPS), "C")):
        with pytest.raises(InputError, match=rf"^solved: the solution for another {differs};"):
            refot.entropic_value(*arguments, solved=found)
    with pytest.raises(InputError, match=r"^solved: the solution for another kind of marginals"):
        refot.entropic_value(C, A, B, EPS, solved=free)
    with pytest.raises(InputError, match=r"^solved: the solution for another rho or penalty"):
        refot.unbalanced_value(C, A, B, EPS, 2 * RHO, solved=free)
    with pytest.raises(InputError, match=r"^solved: the solution for another backend \(numpy\)"):
        refot.entropic_value(C, A, B, EPS, solved=found, backend="numba")
    with pytest.raises(InputError, match=r"^solved: the solution for another C;"):
        refot.sinkhorn_divergence(*POINTS, solved=refot.solve_divergence(X + 1, *POINTS[1:]))


def test_what_is_no_solution_is_refused() -> None:
    found = refot.solve(C, A, B, EPS)
    with pytest.raises(InputError, match=r"^solved: ndarray; allowed: what `refot\.solve`"):
        refot.entropic_value(C, A, B, EPS, solved=found.f)
    with pytest.raises(InputError, match=r"^solved: SinkhornResult; .* three solutions"):
        refot.sinkhorn_divergence(*POINTS, solved=found)
    with pytest.raises(InputError, match=r"^tol: 1e-06 beside solved; allowed: one of them"):
        refot.entropic_value(C, A, B, EPS, solved=found, tol=1e-6)


def test_an_answer_from_a_solve_that_did_not_converge_warns() -> None:
    found = refot.solve(C, A, B, EPS, iterations=1)
    with pytest.warns(refot.ConvergenceWarning, match="an answer of a solve that did not converge"):
        refot.entropic_value(C, A, B, EPS, solved=found)


@pytest.mark.peers
def test_a_solution_of_tensors_serves_tensors() -> None:
    torch = pytest.importorskip("torch")
    x, y = torch.tensor(X), torch.tensor(Y)
    cost = refot.point_cost(x, y)
    found = refot.solve(cost, None, None, EPS, tol=1e-13)
    gradient = refot.entropic_value_gradient_points(cost, None, None, EPS, solved=found)
    assert isinstance(gradient, torch.Tensor)
    three = refot.solve_divergence(x, None, y, None, EPS)
    assert isinstance(three.xx.f, torch.Tensor)
    assert isinstance(refot.sinkhorn_divergence_gradient(x, None, y, None, EPS, solved=three),
                      torch.Tensor)


# ------------------------------------------------------------------ the derivatives in eps
@pytest.mark.parametrize("eps", [0.05, 1.0, 30.0])
@pytest.mark.parametrize("name", ["entropic_value", "sinkhorn_divergence", "unbalanced_value"])
def test_derivative_in_eps_is_the_central_difference(name: str, eps: float) -> None:
    """h = eps / 1000: Taylor's next term is of relative size 1e-6, and the rounding of values of
    size 5 is below 1e-12 / h."""
    start = POINTS[:4] if name == "sinkhorn_divergence" else (C, A, B)
    rest, h = (RHO,) if name.startswith("unbalanced") else (), eps / 1000
    value, slope = getattr(refot, name), getattr(refot, f"{name}_gradient_eps")
    up, down = (value(*start, e, *rest, tol=1e-12) for e in (eps + h, eps - h))
    found = slope(*start, eps, *rest)
    assert found == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-12 / h)


def test_derivative_in_eps_has_its_digits_where_eps_is_far_above_the_cost() -> None:
    """KL is about V / (2 eps^2), V the variance of the costs less their row and column means, with
    a next term of relative size |C| / eps."""
    M = C.dense()
    rows, columns = M @ B, A @ M
    rest = M - rows[:, None] - columns + A @ rows
    limit = float(A @ rest**2 @ B) / 2
    for eps in (1e6, 1e9, 1e12):
        found = refot.entropic_value_gradient_eps(M, A, B, eps) * eps**2
        assert found == pytest.approx(limit, rel=4 * M.max() / eps + 1e-12)


def test_derivative_in_eps_passes_over_forbidden_pairs() -> None:
    """F of two atoms that may only stay where they are: KL of the diagonal plan."""
    M = np.array([[0.0, np.inf], [np.inf, 0.0]])
    found = refot.entropic_value_gradient_eps(M, [0.25, 0.75], [0.25, 0.75], 1.0)
    assert found == pytest.approx(-0.25 * np.log(0.25) - 0.75 * np.log(0.75), rel=1e-14)


# ------------------------------------------------------------------ divergences of cost matrices
def test_divergences_of_matrices_are_those_of_the_points() -> None:
    S = refot.sinkhorn_divergence(*POINTS)
    assert refot.sinkhorn_divergence_of_costs(*COSTS, A, B, EPS) == pytest.approx(S, rel=1e-12)
    loss = refot.sinkhorn_loss(*POINTS)
    assert refot.sinkhorn_loss_of_costs(*COSTS, A, B, EPS) == pytest.approx(loss, rel=1e-12)
    free = refot.unbalanced_divergence(*POINTS, RHO)
    assert refot.unbalanced_divergence_of_costs(*COSTS, A, B, EPS, RHO) == pytest.approx(free)
    np.testing.assert_allclose(
        refot.sinkhorn_divergence_of_costs_gradient_weights(*COSTS, A, B, EPS),
        refot.sinkhorn_divergence_gradient_weights(*POINTS), rtol=0, atol=1e-12)


def test_histograms_on_one_grid_have_divergence_zero_to_themselves() -> None:
    """Up to the error of the values, which is of second order in the tolerance."""
    M = abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
    counts = [3, 0, 1, 4, 2]
    S = refot.sinkhorn_divergence_of_costs(M, M, M, counts, counts, 0.5, normalise=True)
    assert abs(S) < 1e-14


def test_self_costs_must_fit_and_be_symmetric() -> None:
    M, xx, yy = COSTS
    for costs, message in (
            ((M, yy, yy), r"^C_xx: shape \(8, 8\); allowed: \(6, 6\), to fit C"),
            ((M, xx, np.triu(yy)), r"^C_yy: not symmetric"),
            ((M, xx.astype(np.float32), yy), r"^C_xx: dtype float32; allowed: float64")):
        with pytest.raises(InputError, match=message):
            refot.sinkhorn_divergence_of_costs(*costs, A, B, EPS)


def test_a_solved_divergence_is_three_results() -> None:
    found = refot.solve_divergence(*POINTS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        S = found.xy.value() - found.xx.value() / 2 - found.yy.value() / 2
    assert pytest.approx(S, rel=1e-13) == refot.sinkhorn_divergence(*POINTS, solved=found)


@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("rho", [None, RHO])
def test_arrays_that_were_written_to_since_are_noticed(matrix: bool, rho: float | None) -> None:
    """The result holds the same arrays, so that nothing else could tell."""
    cost: Any = C.dense() if matrix else refot.point_cost(X.copy(), Y)
    price, value = ({}, refot.entropic_value) if rho is None else (
        {"rho": rho}, refot.unbalanced_value)
    found = refot.solve(cost, A, B, EPS, **price)
    value(cost, A, B, EPS, **price, solved=found)
    (cost if matrix else cost.x)[0] += 0.5
    with pytest.raises(InputError, match="written to since the solve"):
        value(cost, A, B, EPS, **price, solved=found)
