"""What the result of an unbalanced solve answers: of its own plan, and of U, not of F."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refot

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(8, 2)), RNG.normal(size=(6, 2)) + 0.5
A, B = RNG.random(8) + 0.1, RNG.random(6) + 0.1
C, EPS = refot.point_cost(X, Y), 0.3

KINDS = pytest.mark.parametrize(("rho", "penalty"), [
    (2.0, "kl"), ((1.0, 4.0), "kl"), ((2.0, math.inf), "kl"), (0.7, "tv")])


def solved(rho: Any, penalty: str, **options: Any) -> refot.UnbalancedResult:
    found = refot.solve(C, A, B, EPS, rho=rho, penalty=penalty, tol=1e-11, **options)
    assert isinstance(found, refot.UnbalancedResult)
    return found


@KINDS
def test_the_answers_are_those_of_the_plan(rho: Any, penalty: str) -> None:
    found = solved(rho, penalty)
    P = found.plan()
    assert found.mass == pytest.approx(P.sum(), rel=1e-12)
    assert found.value() == pytest.approx(
        refot.unbalanced_primal(P, C, A, B, EPS, rho, penalty), rel=1e-9)
    assert found.value() == pytest.approx(
        refot.unbalanced_value(C, A, B, EPS, rho, penalty, tol=1e-11), rel=1e-9)
    assert found.transport_cost() == pytest.approx((P * C.dense()).sum(), rel=1e-12)
    assert np.allclose(found.barycentric_map(), P @ Y / P.sum(axis=1, keepdims=True), rtol=1e-10)
    gap = found.certificate()
    assert gap.lower <= found.value() * (1 + 1e-14)
    assert gap.relative < 1e-8


@KINDS
def test_a_file_gives_it_back(rho: Any, penalty: str, tmp_path: Path) -> None:
    found = solved(rho, penalty)
    read = refot.load_solution(found.save(tmp_path / "solution.npz"))
    assert isinstance(read, refot.UnbalancedResult)
    assert (read.mass, read.value(), read.converged) == (found.mass, found.value(), True)
    assert repr(read).startswith("UnbalancedResult(converged yes")


def test_pairs_are_drawn_as_shares_of_the_mass() -> None:
    found = solved(2.0, "kl")
    i, j = found.sample(20_000, 0)
    shares = np.zeros((8, 6))
    np.add.at(shares, (i, j), 1 / 20_000)
    assert abs(shares - found.plan() / found.mass).max() < 5 * 0.5 / math.sqrt(20_000)
