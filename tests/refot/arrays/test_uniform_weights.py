"""Weights that are left out are uniform, in every function of the face, and eps is then a keyword.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import REQUIRED, InputError

rng = np.random.default_rng(0)
X, Y = rng.random((6, 2)), rng.random((6, 2)) + 0.1
U = np.full(6, 1 / 6)
OPERAND = refot.point_cost(X, Y)
CXX = refot.point_cost(X, X).dense()
SOLVED = refot.solve(OPERAND, U, U, 0.3, tol=1e-12)
GIVEN: dict[str, Any] = {
    "C": OPERAND, "C_xx": CXX, "C_yy": refot.point_cost(Y, Y).dense(), "x": X, "y": Y,
    "f": SOLVED.f, "g": SOLVED.g, "P": SOLVED.plan(), "Q": rng.random((6, 6)) / 10, "lam": 0.1,
    "fx": X[:, 0] / 4, "fy": Y[:, 0] / 4, "eps": 0.3, "rho": 2.0, "L": 3,
    "eps_from": 0.5, "eps_to": 0.3,
}
"""What an argument of this name is given."""

MATRICES = {"sinkhorn_symmetric": CXX, "scaling_loss_gradient_self": refot.point_cost(X, X),
            "solve_batch": np.stack([CXX] * 2)}
"""Functions that take another C."""

FACE = {name: function for name in refot.__all__
        if inspect.isfunction(function := getattr(refot, name))
        and {"a", "b"} & set(inspect.signature(function).parameters)}


def given(name: str) -> dict[str, Any]:
    """The arguments that have to be given, weights aside."""
    parameters = inspect.signature(FACE[name]).parameters.values()
    arguments = {p.name: GIVEN[p.name] for p in parameters if p.name not in ("a", "b")
                 and (p.default is p.empty or (p.default is REQUIRED and p.name in
                                               ("y", "eps", "eps_from", "eps_to", "rho", "L")))}
    return arguments | ({"C": MATRICES[name]} if name in MATRICES else {})


def numbers(found: Any) -> list[Any]:
    """All numbers of a result, but for times and problems."""
    if is_dataclass(found):
        return numbers(tuple(getattr(found, field.name) for field in fields(found)
                             if field.name in ("f", "g") or not hasattr(found, "seconds")))
    if isinstance(found, tuple):
        return [number for part in found for number in numbers(part)]
    if inspect.isgenerator(found):
        return numbers(tuple(islice(found, 2)))
    return [] if found is None or isinstance(found, str) else [found]


@pytest.mark.parametrize("name", FACE)
def test_weights_left_out_are_uniform(name: str) -> None:
    function: Callable[..., Any] = FACE[name]
    weights = {side: U for side in ("a", "b") if side in inspect.signature(function).parameters}
    left_out, uniform = (numbers(function(**given(name), **more)) for more in ({}, weights))
    assert len(left_out) == len(uniform) > 0
    for one, other in zip(left_out, uniform, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [name for name in FACE if "eps" in given(name)])
def test_an_eps_that_is_left_out_is_asked_for_by_its_name(name: str) -> None:
    arguments = given(name)
    del arguments["eps"]
    with pytest.raises(InputError) as raised:
        numbers(FACE[name](**arguments))
    assert raised.value.name == "eps"
