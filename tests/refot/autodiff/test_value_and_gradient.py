"""A value and its gradients from one solve: each as the function of that name alone has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import InputError
from refot.solvers.answers import solutions

EPS, RHO = 0.05, 0.3
rng = np.random.default_rng(5)
X, Y = rng.random((7, 2)), rng.random((5, 2)) + 0.2
A, B = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))


def cost(x: Any = X, y: Any = Y) -> refot.PointCost:
    return refot.point_cost(x, y)


FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., float]]] = {
    "F": (lambda **o: refot.entropic_value_and_gradient(cost(), A, B, EPS, **o),
          lambda x, a, y, b: refot.entropic_value(cost(x, y), a, b, EPS, tol=1e-13)),
    "s": (lambda **o: refot.sharp_value_and_gradient(cost(), A, B, EPS, **o),
          lambda x, a, y, b: refot.sharp_value(cost(x, y), a, b, EPS)),
    "S": (lambda **o: refot.sinkhorn_divergence_value_and_gradient(X, A, Y, B, EPS, **o),
          lambda x, a, y, b: refot.sinkhorn_divergence(x, a, y, b, EPS, tol=1e-13)),
    "G-4": (lambda **o: refot.sinkhorn_loss_value_and_gradient(X, A, Y, B, EPS, **o),
            lambda x, a, y, b: refot.sinkhorn_loss(x, a, y, b, EPS)),
    "U": (lambda **o: refot.unbalanced_value_and_gradient(cost(), A, B, EPS, RHO, **o),
          lambda x, a, y, b: refot.unbalanced_value(cost(x, y), a, b, EPS, RHO, tol=1e-12)),
    "U-8": (lambda **o: refot.unbalanced_divergence_value_and_gradient(X, A, Y, B, EPS, RHO, **o),
            lambda x, a, y, b: refot.unbalanced_divergence(x, a, y, b, EPS, RHO, tol=1e-12)),
}
"""(value and gradient, the value as a function of x, a, y, b)."""

every_function = pytest.mark.parametrize("name", FUNCTIONS)


@every_function
def test_all_four_gradients_are_the_slopes_of_the_value(name: str) -> None:
    """Central differences with a step h are off by h^2 times a third derivative, here of order
    1 / EPS^2, and by the rounding of the value over h."""
    both, value = FUNCTIONS[name]
    found, at, h = both(wrt="xayb"), (X, A, Y, B), 2.0**-18
    assert found.value == pytest.approx(value(*at), rel=1e-12)
    for k, gradient in enumerate(found.gradient):
        direction = np.random.default_rng(k).normal(size=at[k].shape)
        if k in (1, 3):
            direction -= direction.mean()  # the mass stays
            direction *= at[k].min()  # and the weights positive
        ahead, behind = ([*at[:k], at[k] + sign * h * direction, *at[k + 1:]] for sign in (1, -1))
        slope = (value(*ahead) - value(*behind)) / (2 * h)
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6, abs=1e-9)


@every_function
def test_only_what_is_asked_for_is_computed(name: str) -> None:
    both, _ = FUNCTIONS[name]
    found, whole = both(wrt="by"), both(wrt="xayb")
    assert found.gradient.x is None
    assert found.gradient.a is None
    np.testing.assert_array_equal(found.gradient.y, whole.gradient.y)
    np.testing.assert_array_equal(found.gradient.b, whole.gradient.b)


@every_function
def test_a_warm_start_changes_the_work_and_not_the_answer(name: str) -> None:
    both, _ = FUNCTIONS[name]
    first = both()
    again = both(warm=first)
    assert again.value == pytest.approx(first.value, rel=1e-12)
    np.testing.assert_allclose(again.gradient.x, first.gradient.x, rtol=1e-9, atol=1e-12)


def test_a_fixed_target_is_solved_once_in_a_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first step each of the three problems gets a rough and a fine solve; at a later one xy
    and xx get one each, and yy none."""
    solves: list[tuple[int, int]] = []

    def counted(solver: Any) -> Any:
        def solve(p: Any, **options: Any) -> Any:
            solves.append(p.C.shape)
            return solver(p, **options)

        return solve

    for name in ("solve_problem", "solve_symmetric_problem"):
        monkeypatch.setattr(solutions, name, counted(getattr(solutions, name)))
    step = refot.sinkhorn_divergence_value_and_gradient(X, A, Y, B, EPS)
    assert sorted(solves) == [(5, 5)] * 2 + [(7, 5)] * 2 + [(7, 7)] * 2
    solves.clear()
    moved = X - 0.1 * step.gradient.x
    step = refot.sinkhorn_divergence_value_and_gradient(moved, A, Y, B, EPS, warm=step)
    assert sorted(solves) == [(7, 5), (7, 7)]
    cold = refot.sinkhorn_divergence_value_and_gradient(moved, A, Y, B, EPS)
    np.testing.assert_allclose(step.gradient.x, cold.gradient.x, rtol=1e-9, atol=1e-12)


def test_points_that_are_moved_in_place_are_noticed() -> None:
    x = X.copy()
    step = refot.sinkhorn_divergence_value_and_gradient(x, A, Y, B, EPS)
    x -= 0.1
    moved = refot.sinkhorn_divergence_value_and_gradient(x, A, Y, B, EPS, warm=step)
    cold = refot.sinkhorn_divergence_value_and_gradient(x, A, Y, B, EPS)
    assert moved.value == pytest.approx(cold.value, rel=1e-12)
    assert moved.value != pytest.approx(step.value, rel=1e-3)


def test_a_rough_solution_is_not_taken_for_a_fine_one() -> None:
    rough = refot.entropic_value_and_gradient(cost(), A, B, EPS, tol=1e-2)
    fine = refot.entropic_value_and_gradient(cost(), A, B, EPS, warm=rough)
    cold = refot.entropic_value_and_gradient(cost(), A, B, EPS)
    assert fine.solved[0].tolerance < 1e-10 < rough.solved[0].tolerance
    np.testing.assert_allclose(fine.gradient.x, cold.gradient.x, rtol=1e-9, atol=1e-12)


def test_what_was_solved_serves_other_functions() -> None:
    found = refot.sinkhorn_divergence_value_and_gradient(X, A, Y, B, EPS)
    again = refot.sinkhorn_divergence_gradient(X, A, Y, B, EPS, solved=found.solved)
    np.testing.assert_allclose(again, found.gradient.x, rtol=1e-9, atol=1e-12)
    assert all(one.converged for one in found.solved)


def test_a_cost_matrix_has_gradients_in_weights_alone() -> None:
    C = cost().dense()
    found = refot.entropic_value_and_gradient(C, A, B, EPS, wrt="ab")
    whole = refot.entropic_value_and_gradient(cost(), A, B, EPS, wrt="ab")
    np.testing.assert_allclose(found.gradient.a, whole.gradient.a, rtol=1e-9, atol=1e-12)
    with pytest.raises(InputError, match="C"):
        refot.entropic_value_and_gradient(C, A, B, EPS)


@pytest.mark.parametrize("wrt", ["z", "xx", "xz", 3, None])
def test_other_letters_are_refused(wrt: Any) -> None:
    with pytest.raises(InputError, match="wrt"):
        refot.sinkhorn_divergence_value_and_gradient(X, A, Y, B, EPS, wrt=wrt)


def test_a_warm_start_of_another_kind_or_size_is_refused() -> None:
    one = refot.entropic_value_and_gradient(cost(), A, B, EPS)
    with pytest.raises(InputError, match="warm"):
        refot.sinkhorn_divergence_value_and_gradient(X, A, Y, B, EPS, warm=one)
    with pytest.raises(InputError, match="warm"):
        refot.entropic_value_and_gradient(cost(X[:6]), None, B, EPS, warm=one)
    with pytest.raises(InputError, match="warm"):
        refot.entropic_value_and_gradient(cost(), A, B, EPS, warm=one.solved[0])  # type: ignore[arg-type]


def test_free_masses_need_a_finite_rho() -> None:
    with pytest.raises(InputError, match="rho"):
        refot.unbalanced_value_and_gradient(cost(), A, B, EPS, np.inf, wrt="b")
