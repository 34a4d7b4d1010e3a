"""`refot certify` of a file with rho: the interval of U, and whether a value is right."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import arb
from typer.testing import CliRunner

from refot.arrays import InputError
from refot.cli.app import app
from refot.datasets.problem_file import FileError
from refot.verification.enclosures.unbalanced.enclose import (
    enclose_unbalanced,
    enclose_unbalanced_points,
)
from refot.verification.runs.certify import certified, read_problem, require_convention

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 2)), RNG.normal(size=(4, 2))
C, A, B, EPS = RNG.uniform(size=(5, 4)), RNG.uniform(size=5), 2 * RNG.uniform(size=4), 0.25


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "problem.npz"
    np.savez(path, **({"C": C, "a": A, "b": B, "eps": EPS} | arrays))
    return path


def printed(*arguments: str) -> tuple[str, int]:
    """What `refot certify` prints, and its exit status."""
    done = CliRunner().invoke(app, ["certify", *arguments])
    return done.output, done.exit_code


@pytest.mark.parametrize(("rho", "penalty"), [
    (0.5, "kl"), ((0.5, 2.0), "kl"), ((math.inf, 0.5), "kl"), (0.125, "tv"),
    ((0.25, math.inf), "tv")])
def test_the_interval_contains_the_enclosed_value(tmp_path: Path, rho: Any, penalty: str) -> None:
    found = certified(*read_problem(saved(tmp_path, rho=rho, penalty=penalty)))
    exact = enclose_unbalanced(C, A, B, EPS, rho, penalty)
    assert arb(found.value.lower) <= exact.value <= arb(found.value.upper)
    assert found.value.relative_width < 1e-9
    assert abs(found.mass - float(exact.mass)) < 1e-9
    assert found.residual < 1e-9


def test_a_poor_potential_gives_a_wide_interval_that_is_true(tmp_path: Path) -> None:
    path = saved(tmp_path, rho=0.5, g=np.array([1.0, -1.0, 0.5, 0.0]))
    found = certified(*read_problem(path))
    U = enclose_unbalanced(C, A, B, EPS, 0.5).value
    assert arb(found.value.lower) < U < arb(found.value.upper)
    assert found.value.relative_width > 1e-3


def test_points_and_kl_by_default(tmp_path: Path) -> None:
    path = tmp_path / "points.npz"
    np.savez(path, x=X, y=Y, a=A, b=B, eps=EPS, rho=[0.5, math.inf], cost="euclidean")
    said, status = printed(str(path))
    assert status == 0
    assert "rows: rho = 0.5 KL, columns: exact" in said
    lower, upper = map(float, said.split("[")[1].split("]")[0].split(","))
    U = enclose_unbalanced_points(X, A, Y, B, EPS, (0.5, math.inf), "euclidean").value
    assert arb(lower) <= U <= arb(upper)
    assert f"masses: a {A.sum():g}, b {B.sum():g}, the plan {B.sum():.6g}" in said


def test_a_value_is_judged_and_its_mistake_named(tmp_path: Path) -> None:
    path, U = saved(tmp_path, rho=0.5), float(enclose_unbalanced(C, A, B, EPS, 0.5).value)
    said, status = printed(str(path), "--value", repr(U + 1e-9))
    assert status == 0
    assert "is right as unbalanced value" in said
    said, status = printed(str(path), "--value", repr(float(U - EPS * A.sum() * B.sum())))
    assert status == 1
    assert "is wrong as unbalanced value" in said
    assert "eps m_a m_b is left out" in said


def test_a_wrong_value_under_tv_is_wrong_and_not_explained(tmp_path: Path) -> None:
    found = certified(*read_problem(saved(tmp_path, rho=0.5, penalty="tv")))
    verdict = found.verdict(2 * found.value.midpoint, "refot")
    assert not verdict.inside
    assert verdict.sentence.endswith(")")


@pytest.mark.parametrize(("arrays", "error", "message"), [
    ({"penalty": "kl"}, FileError, "lacks rho"),
    ({"rho": 0.0}, InputError, "^rho: 0"),
    ({"rho": math.nan}, InputError, "^rho: nan"),
    ({"rho": [1.0, 2.0, 3.0]}, InputError, "^rho: 3 numbers"),
    ({"rho": "one"}, InputError, "^rho: "),
    ({"rho": 1.0, "penalty": "l2"}, InputError, "^penalty: 'l2'"),
    ({"rho": 1.0, "penalty": 2.0}, InputError, "^penalty: an array of float64"),
    ({"rho": [math.inf, math.inf]}, InputError, "^b: a total of"),
])
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, arrays: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_problem(saved(tmp_path, **arrays))


def test_a_balanced_convention_is_refused_before_any_work(tmp_path: Path) -> None:
    p, _ = read_problem(saved(tmp_path, rho=0.5))
    require_convention(p, "refot")
    with pytest.raises(InputError, match="whose value is balanced"):
        require_convention(p, "pot.sinkhorn2")
    with pytest.raises(InputError, match=r"^convention: "):
        require_convention(p, "nobody's")
