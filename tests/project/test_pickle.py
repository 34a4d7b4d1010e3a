"""What crosses a process boundary comes out as it went in: every error, warning and result.

A bad input in a worker must raise in the parent: an exception that cannot be unpickled makes
`multiprocessing.Pool.map` wait for ever, and breaks a `ProcessPoolExecutor`.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from typing import Any

import errors_across_processes
import numpy as np
import pytest
from errors_of_refot import ERRORS, RECORDS, error_of

import refot
from refot.backends.numba.groups.ordered import sorted_cost
from refot.conventions.convert import CONVENTIONS
from refot.costs.ground import POINT_COSTS
from refot.informative_plans import solve_informative
from refot.limits import cost_limits, divergence_limits, eps_sweep
from refot.problem import problem
from refot.scores.scores import exact_transport, mode_coverage
from refot.verification.certificates.certify import certify
from refot.verification.runs.run import CheckResult

WAYS = {"pickle": lambda thing: pickle.loads(pickle.dumps(thing)), "copy": copy.copy,
        "deepcopy": copy.deepcopy}


def record_of(kind: type) -> Any:
    """A record of that class with something in every field, whatever its meaning."""
    record = object.__new__(kind)
    for field in dataclasses.fields(kind):
        object.__setattr__(record, field.name, (field.name, 1.5))
    return record


def same(one: Any, other: Any) -> bool:
    """Whether two things of any kind hold the same, arrays by their entries."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(
            one, other, equal_nan=True)
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if hasattr(one, "__dict__") and not callable(one):
        return same(vars(one), vars(other))
    return bool(one == other)


def test_the_walk_found_the_package() -> None:
    """The control: the classes that users meet are among those that are tested below."""
    assert {refot.InputError, refot.BackendUnavailableError, refot.ConvergenceWarning} < {*ERRORS}
    assert {refot.SinkhornResult, refot.Measure, refot.PointCost, CheckResult} < {*RECORDS}
    assert not same(record_of(refot.Measure), record_of(refot.DenseCost))
    assert not same(np.zeros(2), np.ones(2))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__qualname__)
def test_every_error_and_warning_survives(kind: type[BaseException], way: str) -> None:
    error = error_of(kind)
    again = WAYS[way](error)
    assert type(again) is kind
    assert str(again) == str(error)
    assert same(vars(again), vars(error))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_every_record_survives(kind: type, way: str) -> None:
    record = record_of(kind)
    assert same(WAYS[way](record), record)


X, Y = np.random.default_rng(0).normal(size=(2, 4, 2))
A, B, C = np.full(4, 0.25), np.array([0.5, 0.25, 0.25, 0.0]), refot.point_cost(X, Y)
RESULTS = {
    "solve": lambda: refot.solve(C, A, B, 0.5, certified=True),
    "solve_batch": lambda: refot.solve_batch([C, C], A, B, 0.5, certified=True),
    "measure": lambda: refot.measure(X, A),
    "point_cost": lambda: C,
    "DenseCost": lambda: refot.DenseCost(C.dense()),
    "backend_status": refot.backend_status,
    "informative_plan": lambda: refot.informative_plan(C, C.dense(), 0.1, A, B, 0.5),
    "solve_informative": lambda: solve_informative(C, A, B, 0.5, 0.1, [0, 0, 1, 1]),
    "cost_limits": lambda: cost_limits(C, A, B),
    "divergence_limits": lambda: divergence_limits(X, A, Y, B),
    "eps_sweep": lambda: eps_sweep(X, A, Y, B, [0.5, 1.0]),
    "exact": lambda: refot.exact(C, A, B),
    "path": lambda: refot.path(C, A, B, 1.0, 0.5),
    "exact_transport": lambda: exact_transport(X, Y),
    "mode_coverage": lambda: mode_coverage(X, Y, 0.5),
    "certify": lambda: certify(C, A, B, 0.5, np.zeros(4)),
    "conventions": lambda: CONVENTIONS,
    "costs": lambda: POINT_COSTS,
    "problem on numpy": lambda: problem(C, A, B, 0.5, "numpy"),
    "problem on numba": lambda: problem(C, A, B, 0.5, "numba"),
    "points in order": lambda: sorted_cost(C),
}
"""What the functions of the package return that is not a number or an array."""


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_survives(name: str) -> None:
    result = RESULTS[name]()
    for way in WAYS.values():
        assert same(way(result), result)


def test_an_enclosure_of_thirty_digits_survives() -> None:
    """With its midpoints; flint rounds a radius up when it is made again."""
    pytest.importorskip("flint")
    from refot.verification.enclosures.enclose import enclose

    found = enclose([[0.0, 1.0], [1.0, 0.0]], [0.5, 0.5], [0.25, 0.75], 0.5)
    for way in WAYS.values():
        again = way(found)
        for one, other in zip(found.f + found.g + found.plan[0], again.f + again.g + again.plan[0],
                              strict=True):
            assert other.mid() == one.mid()
            assert one.rad() <= other.rad()
            assert other.rad() <= one.rad() * (1 + 2.0**-28)


# ------------------------------------------------------------------ across processes
def test_errors_of_workers_reach_the_parent() -> None:
    """By each way of starting a worker; spawn is that of Windows and macOS."""
    done = subprocess.run([sys.executable, errors_across_processes.__file__], capture_output=True,
                          text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{sum(issubclass(kind, Exception) for kind in ERRORS)} errors\n"
