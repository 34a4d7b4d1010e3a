"""The kit that compares a backend with the reference finds each kind of mistake, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refot.backends.numpy.backend import NumpyBackend
from refot.costs.operands import DenseCost, point_cost
from refot.verification.parity import ParityProblem, compared
from refot.verification.parity.problems import REFERENCE


def problem(dtype: Any) -> ParityProblem:
    """Nine points against eleven in the plane, one of each side without mass."""
    rng = np.random.default_rng(0)
    C = point_cost(rng.random((9, 2)).astype(dtype), rng.random((11, 2)).astype(dtype))
    G = rng.normal(size=11).astype(dtype)
    G[3] = -np.inf
    F = REFERENCE.softmin(C, G, 0.2)
    F[5] = -np.inf
    return ParityProblem("small", C, F, G, 0.2, rng.normal(size=(11, 3)).astype(dtype))


def failed(backend: Any, p: ParityProblem) -> set[str]:
    """The operations that fail."""
    return {result.operation for result in compared(backend, p) if not result.passed}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_reference_passes(dtype: Any) -> None:
    p = problem(dtype)
    assert not failed(NumpyBackend(), p)
    matrix = ParityProblem("matrix", DenseCost(np.asfortranarray(p.C.dense())), p.F, p.G, p.eps,
                           p.V)
    assert not failed(NumpyBackend(), matrix)


def with_two_copies(entries: Any) -> Any:
    values, columns, starts = entries
    return np.repeat(values, 2), np.repeat(columns, 2), 2 * starts


def without_the_largest(entries: Any) -> Any:
    values, columns, starts = entries
    values = values.copy()
    values[values.argmax()] = 0
    return values, columns, starts


MISTAKES: list[tuple[str, Callable[[Any], Any], set[str]]] = [
    ("softmin", lambda out: out + np.float32(1e-3), {"softmin"}),
    ("softmin", lambda out: out.astype(np.float64), {"softmin"}),
    ("softmin", lambda out: out[:-1], {"softmin"}),
    ("softmin", lambda out: out * np.float32(np.nan), {"softmin"}),
    ("plan_apply", lambda out: np.where(out == 0, np.float32(1e-6), out), {"plan_apply"}),
    ("marginals", lambda out: out[::-1], {"marginals, rows", "marginals, columns"}),
    ("plan_cost", lambda out: 2 * out, {"plan_cost"}),
    ("plan_cost_gradient", lambda out: -out, {"plan_cost_gradient"}),
    ("plan_entries", lambda out: None, {"plan_entries"}),
    ("plan_entries", lambda out: out and with_two_copies(out),
     {"plan_entries", "plan_entries, too many"}),
    ("plan_entries", lambda out: out and without_the_largest(out), {"plan_entries"}),
    ("sweep", lambda out: (out[0], 2 * out[1]), {"sweep, K'u"}),
]


@pytest.mark.parametrize(("operation", "mistake", "found"), MISTAKES)
def test_a_mistake_is_found_in_its_operation(operation: str, mistake: Callable[[Any], Any],
                                             found: set[str]) -> None:
    right = getattr(NumpyBackend, operation)
    wrong = type("Wrong", (NumpyBackend,), {
        operation: lambda *arguments: mistake(right(*arguments))})
    assert failed(wrong(), problem(np.float32)) == found


def test_the_kernel_is_compared_too() -> None:
    class Low(NumpyBackend):
        def gibbs(self, C: Any, f: Any, g: Any, eps: float, least: float, K: Any) -> None:
            super().gibbs(C, f, g, eps, 2 * least, K)

    assert failed(Low(), problem(np.float64)) == {"gibbs"}
