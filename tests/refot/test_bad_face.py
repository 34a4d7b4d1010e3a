"""Every function of `refot.__all__`, every argument, every kind of thing that is put in its place:
a clear refot error or a right answer, and nothing else.

A call may raise an InputError, or return finite numbers without a word from NumPy; or warn of what
it returns (ConvergenceWarning). An error of Python or NumPy from inside, a RuntimeWarning that
leaks, infinity or NaN without a word fail. KL of a law that is not << the other is infinite, and
the duals of potentials that are not feasible are -infinity, by their definition.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array, csr_matrix

import refot
from refot import ConvergenceWarning, DenseCost, InputError, PointCost

X, Y = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 2.0]])
A, B = np.array([0.5, 0.25, 0.25]), np.array([0.75, 0.25])
C = np.array([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]])
BETWEEN, WITHIN = refot.point_cost(X, Y), refot.point_cost(X, X)

GOOD = {
    "C": C, "a": A, "b": B, "eps": 1.0, "x": X, "y": Y, "f": np.zeros(3), "g": np.zeros(2),
    "h": np.zeros(2), "P": np.outer(A, B), "Q": np.zeros((3, 2)), "lam": 0.5, "x1": X, "x2": X[:2],
    "eta": np.full((3, 2), 1 / 6), "p": A, "q": A, "codes": [0, 1, 1], "n_codes": 2, "points": X,
    "weights": A, "L": 3, "fx": np.zeros(3), "fy": np.zeros(2), "cost": "sqeuclidean",
    "scale": 1.0, "alpha": 1.0, "tol": 1e-6, "max_iter": 50, "backend": "numpy",
    "method": "sinkhorn", "time_limit": 5.0, "gap": 1e-3, "certified": False, "progress": False,
    "memory": "1G", "rho": 2.0, "penalty": "kl", "measures": (X, X + 1),
    "normalise": False, "iterations": 5, "gauge": "mean-zero", "solved": None, "checkpoint": None,
    "C_xx": WITHIN.dense(), "C_yy": refot.point_cost(Y, Y).dense(), "dC": C, "dx": X, "dy": Y,
    "eps_from": 1.0, "eps_to": 0.5, "factor": 2.0,
    "da": A - A.mean(), "db": B - B.mean(), "deps": 0.5, "wrt": "x", "warm": None,
}
"""A good value of every argument, by its name."""

NEEDS_POINTS = (
    "entropic_value_gradient_points", "semi_dual_gradient_points", "sharp_value_gradient_points",
    "scaling_loss_gradient_points", "kantorovich_rubinstein", "normalised",
    "unbalanced_value_gradient_points", "entropic_value_and_gradient", "sharp_value_and_gradient",
    "unbalanced_value_and_gradient",
)
COSTS: dict[str, Any] = {**dict.fromkeys(NEEDS_POINTS, BETWEEN), "sinkhorn_symmetric": WITHIN,
                         "scaling_loss_gradient_self": WITHIN}

NO_FUNCTION = {"Backend", "BackendUnavailableError", "ConvergenceWarning", "DenseCost",
               "InputError", "Measure", "PointCost", "SinkhornResult", "UnbalancedResult",
               "backend_status", "BatchResult", "SolvedDivergence", "ValueAndGradient",
               "load_solution", "EpsPath", "ExactTransport"}
INFINITE_BY_DEFINITION = {"kl", "kl_from_product", "kantorovich_dual", "kantorovich_rubinstein",
                          "informative_cost", "transport_cost", "primal", "entropic_primal",
                          "unbalanced_primal"}

FACE = [name for name in refot.__all__ if name not in NO_FUNCTION]


class Odd:
    """An object that is nothing."""


class Liar:
    """An object that looks like an array, and is none."""

    dtype, shape, ndim = "float64", (3,), 1


ODD: dict[str, Any] = {
    "None": None, "word": "abc", "digits": "1.0", "empty word": "", "bytes": b"1", "object": Odd(),
    "liar": Liar(), "type": float, "function": len, "module": math, "ellipsis": ...,
    "dict": {"a": 1}, "set": {1.0, 2.0}, "generator": (w for w in (1.0, 2.0)), "slice": slice(3),
    "no list": [], "ragged": [[1.0], [1.0, 2.0]], "list of None": [None] * 3, "True": True,
    "0-d word": np.array("1.0"), "0-d True": np.array(True), "0-d object": np.array(None),
    "0-d date": np.array("2020-01-01", "M8[D]"), "0-d float": np.array(1.0), "complex": 1j,
    "Decimal": Decimal(1), "Decimal NaN": Decimal("nan"), "Decimal sNaN": Decimal("sNaN"),
    "Decimal inf": Decimal("inf"), "Fraction": Fraction(1, 3), "float16": np.float16(1),
    "long double": np.longdouble(1), "NaN": math.nan, "inf": math.inf, "-inf": -math.inf,
    "-1": -1.0, "0": 0.0, "2": 2, "10^400": 10**400, "1e300": 1e300, "-1e300": -1e300,
    "1.7e308": 1.7e308, "1e-310": 1e-310, "5e-324": 5e-324,
}
"""Things that may stand where anything else is expected."""


def instead_of(good: Any) -> Iterator[tuple[str, Any]]:
    """What may stand in the place of a good value: (what it is, it)."""
    yield from ODD.items()
    if isinstance(good, PointCost):
        x, y, ground = good.x, good.y, good.ground
        yield "a matrix", good.dense()
        yield "a class", PointCost
        yield "points None", PointCost(None, None, ground)
        yield "no ground cost", PointCost(x, y, None)  # type: ignore[arg-type]
        yield "dot", refot.point_cost(x, y, "dot")
        for number in (math.nan, 1.7e308, 1e300, 1e160, 1e-310):
            yield f"points at {number}", PointCost(np.full_like(x, number), y, ground)
            yield f"scale {number}", PointCost(x, y, ground, number)
    if isinstance(good, list | np.ndarray):
        yield from arrays_instead_of(np.asarray(good, dtype=np.float64))


def arrays_instead_of(good: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Arrays of another kind, dtype or shape, or with other entries."""
    yield "csr matrix", csr_matrix(np.atleast_2d(good))
    yield "coo array", coo_array(np.atleast_2d(good))
    with warnings.catch_warnings():  # NumPy says that it will not make these for ever
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix(good)
    yield "np.matrix", matrix
    yield "record", np.zeros(good.shape, dtype=[("a", float)])
    yield "strided", np.repeat(good, 2, axis=0)[::2]
    for dtype in (complex, object, str, bool, "M8[s]", np.float16, np.float32, np.longdouble, ">f8",
                  np.uint8):
        yield f"array of {np.dtype(dtype)}", good.astype(dtype)
    yield from (("transposed", good.T), ("one axis more", good[None]), ("cut", good[:1]),
                ("flat", good.ravel()), ("empty", good[:0]), ("a number", good.flat[0]))
    yield "list of Decimal NaN", [Decimal("nan")] * len(good)
    yield "dense operand of None", DenseCost(None)
    yield "dense operand of a list", DenseCost(good.tolist())
    yield "all 2^63 - 1", np.full(good.shape, 2**63 - 1)
    yield "all 1e30 in float32", np.full(good.shape, 1e30, np.float32)
    for number in (math.nan, math.inf, -math.inf, -1.0, 0.0, 1e154, 1e160, 1e300, -1e300, 1.7e308,
                   -1.7e308, 1e-310):
        yield f"all {number}", np.full_like(good, number)
        one = good.copy()
        one.flat[-1] = number
        yield f"one {number}", one


def numbers_in(result: Any) -> Iterator[Any]:
    """Every number and array of a result."""
    if isinstance(result, tuple):
        for part in result:
            yield from numbers_in(part)
    elif isinstance(result, refot.SinkhornResult):
        yield from (result.f, result.g, result.marginal_error)
    elif isinstance(result, refot.BatchResult):
        yield from (result.f, result.g, result.marginal_error, result.value)
    elif isinstance(result, refot.ExactTransport):
        yield from (result.f, result.g, result.value, result.gap.lower, result.gap.upper)
    elif isinstance(result, refot.EpsPath):
        yield from (result.eps, result.lower, result.upper)
    elif isinstance(result, refot.Measure):
        yield from (result.points, result.weights)
    elif isinstance(result, DenseCost | PointCost):
        yield result.dense()
    elif inspect.isgenerator(result):
        yield from numbers_in((next(result), next(result)))
    elif isinstance(result, float | np.ndarray | np.generic):
        yield result


def fault_of(name: str, arguments: dict[str, Any]) -> str:
    """What is wrong with how refot takes these arguments; "" where nothing is."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            numbers = list(numbers_in(getattr(refot, name)(**arguments)))
        except InputError:
            numbers = []
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            return f"raised {type(error).__name__}: {error}"
    leaked = [w for w in seen if not issubclass(w.category, ConvergenceWarning)]
    if leaked:
        return f"leaked {leaked[0].category.__name__}: {leaked[0].message}"
    if not seen and name not in INFINITE_BY_DEFINITION and not all(
            np.isfinite(number).all() for number in numbers):
        return f"returned {numbers} without a word"
    return ""


def call_of(name: str) -> dict[str, Any]:
    """Good arguments of a function: all that it must be given, weights too, and backend numpy."""
    parameters = inspect.signature(getattr(refot, name)).parameters
    arguments = {key: GOOD[key] for key, parameter in parameters.items()
                 if parameter.default is inspect.Parameter.empty or key == "backend"
                 or (parameter.default is None
                     and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD)}
    if "C" in arguments:
        arguments["C"] = COSTS.get(name, C)
    return arguments


def too_long(function: Callable[..., Any], key: str, what: str) -> bool:
    """Whether a solve with this would run to its last iteration: tested where solvers are."""
    solves = "tol" in inspect.signature(function).parameters
    started_far_off = key in ("f", "g") and what.startswith(("one", "all"))
    return solves and (what.startswith(("one ", "scale 1e")) or key == "tol" or started_far_off
                       or what in ("all 1e30 in float32", "all 2^63 - 1"))


@pytest.fixture(autouse=True)
def _what_a_call_leaves_ends_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The choice of a backend, and files of whatever name."""
    monkeypatch.chdir(tmp_path)
    with refot.use_backend("numpy"):
        yield


@pytest.mark.parametrize("name", FACE)
def test_a_good_call_is_answered(name: str) -> None:
    """The control: what is bad below is the one argument that is exchanged."""
    assert fault_of(name, call_of(name)) == ""
    getattr(refot, name)(**call_of(name))


SLOW = {"unbalanced_divergence_of_costs", "sinkhorn_divergence_value_and_gradient",
        "sinkhorn_loss_value_and_gradient", "unbalanced_divergence_value_and_gradient"}
"""Three solves a call; those of `sinkhorn_divergence` and `unbalanced_divergence` go the same way.
"""


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in FACE])
def test_a_clear_error_or_an_answer(name: str) -> None:
    """One argument at a time; some 25,000 calls in all."""
    function, faults = getattr(refot, name), []
    for key in inspect.signature(function).parameters:
        good = call_of(name).get(key, GOOD[key])
        for what, thing in instead_of(good):
            own = key in ("progress", "cost") and callable(thing)  # what it raises is its own
            if not own and not too_long(function, key, what):
                fault = fault_of(name, {**call_of(name), key: thing})
                faults += [f"{key}: {what}: {fault}"] if fault else []
    assert not faults


@pytest.mark.parametrize("number", [np.array("1.0"), np.array(True), np.array(None), Decimal("nan"),
                                    Decimal("sNaN"), "1.0", np.array("2020", "M8[Y]")], ids=repr)
def test_what_is_no_number_is_no_eps(number: Any) -> None:
    with pytest.raises(InputError, match=r"^eps: "):
        refot.entropic_value(C, A, B, number)


def test_the_range_of_eps_follows_the_cost_and_its_dtype() -> None:
    """C / eps and eps itself stay floats of the dtype of the cost."""
    for eps in (1e-310, 1e305):
        with pytest.raises(InputError, match=r"^eps: .*; allowed: .* for a cost of float64"):
            refot.softmin(C, np.zeros(2), eps)
    single = C.astype(np.float32)
    for eps in (1e-39, 1e36):
        with pytest.raises(InputError, match=r"^eps: .*; allowed: .* for a cost of float32"):
            refot.solve(single, A.astype(np.float32), B.astype(np.float32), eps)
    with pytest.raises(InputError, match="with entries up to 3e"):
        refot.plan(np.zeros(3), np.zeros(2), 1e300 * C, A, B, 1e-10)
    with pytest.raises(InputError, match=r"^g: .*the cost is float32"):
        refot.semi_dual([0.0, 1e100], single, A.astype(np.float32), B.astype(np.float32), 1.0)
    assert refot.softmin(C, np.zeros(2), 1e-290).tolist() == C.min(axis=1).tolist()


def test_a_result_beyond_the_range_says_so() -> None:
    with pytest.raises(refot.arrays.RangeError, match=r"^dual: a result that is infinite or NaN"):
        refot.dual(np.full(3, 1e4), np.zeros(2), C, A, B, 1.0)
    with pytest.raises(InputError, match=r"^plan: a result"):
        refot.plan(np.full(3, 1e4), np.zeros(2), C, A, B, 1.0)
    assert refot.log_dual(np.full(3, 1e4), np.zeros(2), C, A, B, 1.0) < 2
