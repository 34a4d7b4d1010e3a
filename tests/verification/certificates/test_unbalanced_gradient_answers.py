"""refot's unbalanced gradients against the certified vectors, and against differences of enclosed
values: within 1e-8 of the largest entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from flint import arb

from refot.costs.operands import PointCost, point_cost
from refot.unbalanced.gradients import (
    unbalanced_divergence_gradient,
    unbalanced_divergence_gradient_weights,
    unbalanced_value_gradient_points,
    unbalanced_value_gradient_rho,
    unbalanced_value_gradient_weights,
)
from refot.verification.enclosures.unbalanced.enclose import enclose_unbalanced_value
from refot.verification.vectors.answers import load

ERROR = 1e-8
"""Of the largest entry of a gradient. Seen: 5.6e-11, at rho = 1e6 eps."""


def arguments(case: dict[str, Any]) -> list[Any]:
    return [np.array(x, dtype=float) if isinstance(x, list) else x for x in case["inputs"].values()]


def assert_near(found: Any, due: Any, what: str) -> None:
    due = np.array(due, dtype=float)
    assert abs(np.asarray(found) - due).max() <= ERROR * abs(due).max(), what


def turned(C: Any, a: Any, b: Any, eps: float, rho: Any, *penalty: str) -> tuple[Any, ...]:
    """The two measures exchanged."""
    return C.T, b, a, eps, rho if isinstance(rho, float) else rho[::-1], *penalty


def gradients(given: list[Any], backend: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """By the name of the output, for files whose arguments are those of a matrix."""
    yield "gradient_in_rho", lambda: unbalanced_value_gradient_rho(*given, backend=backend)
    for name in ("gradient", "gradient_in_a"):
        yield name, lambda: unbalanced_value_gradient_weights(*given, backend=backend)
    yield "gradient_in_b", lambda: unbalanced_value_gradient_weights(
        *turned(*given), backend=backend)


@pytest.mark.parametrize("file", [
    "unbalanced_value", "unbalanced_mass_gradient", "unbalanced_sides"])
def test_gradients_in_masses_and_rho_are_those_of_the_vectors(file: str, backend: str) -> None:
    for case in load(file):
        for name, gradient in gradients(arguments(case), backend):
            if name in case["outputs"]:
                assert_near(gradient(), case["outputs"][name]["mid"], case["id"])


def test_gradients_of_the_divergence_are_those_of_the_vectors(backend: str) -> None:
    for case in load("unbalanced_divergence_gradient"):
        given, outputs = arguments(case), case["outputs"]
        in_x = unbalanced_divergence_gradient(*given, backend=backend)
        in_a = unbalanced_divergence_gradient_weights(*given, backend=backend)
        assert_near(in_x, outputs["divergence_gradient"]["mid"], case["id"])
        assert_near(in_a, outputs["gradient_in_a"]["mid"], case["id"])


# ------------------------------------------------------------------ differences
H = 2.0**-30


def cost_of(x: Any, y: Any) -> PointCost:
    return point_cost(x, y, "sqeuclidean")


@pytest.mark.parametrize(("penalty", "rho"), [("kl", 0.75), ("kl", (0.25, 2.0)), ("tv", 0.75)])
def test_gradients_are_differences_of_the_enclosed_value(penalty: str, rho: Any) -> None:
    """In a point, a mass and both rho: central differences, whose own error is about 1e-17."""
    rng = np.random.default_rng(0)
    x, y, a, b = (rng.normal(size=(4, 2)), rng.normal(size=(3, 2)), rng.uniform(size=4),
                  2 * rng.uniform(size=3))

    def value(x: Any, a: Any, rho: Any) -> arb:
        return enclose_unbalanced_value(cost_of(x, y), a, b, 0.5, rho, penalty, digits=50)

    pair = np.broadcast_to(rho, 2)
    dx, da = np.zeros_like(x), np.zeros_like(a)
    dx[2, 1], da[1] = H, H
    given = (a, b, 0.5, rho, penalty)
    in_x = unbalanced_value_gradient_points(cost_of(x, y), *given)
    in_a = unbalanced_value_gradient_weights(cost_of(x, y), *given)
    in_rho = unbalanced_value_gradient_rho(cost_of(x, y), *given)
    for found, above, below in (
        (in_x[2, 1], value(x + dx, a, rho), value(x - dx, a, rho)),
        (in_a[1], value(x, a + da, rho), value(x, a - da, rho)),
        (in_rho[0], value(x, a, (pair[0] + H, pair[1])), value(x, a, (pair[0] - H, pair[1]))),
        (in_rho[1], value(x, a, (pair[0], pair[1] + H)), value(x, a, (pair[0], pair[1] - H))),
    ):
        assert abs(float((above - below) / (2 * H)) - found) <= ERROR * max(1.0, abs(found))
