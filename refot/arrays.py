"""Checked inputs: every public function passes its arguments through here before any work.

The file holds the names of the types in signatures, the error classes, and one function for each
kind of argument (points, weights, matrix, potential, eps). Such a function returns the argument
ready for use: a CuPy array stays on its device; lists, frames, and arrays of any other library
become NumPy's (refot/foreign.py, which also turns results back into arrays of that library).
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from refot.foreign import as_plain_numbers, follows_numpy, on_host

P = ParamSpec("P")
T = TypeVar("T")

Array: TypeAlias = Any
"""An array of NumPy or of any library that follows its interface (CuPy), already checked.

The names below say what an argument means, and which shape it has. All of them stand for `Any`,
because what a caller hands over may be an array of any library or a plain list: the functions
`as_points`, `as_weights`, ... of this file check it, and return it as an Array."""

Points: TypeAlias = Any
"""Points (n, d), one in each row."""

Weights: TypeAlias = Any
"""Weights (n,) of points: none negative, their sum 1."""

REQUIRED: Any = None
"""The default of an argument that must be given all the same, such as eps. In signatures eps
follows the weights, which may be left out, and after an argument with a default Python allows only
others with one. If eps is left out, its check finds this None, and raises an error that names
eps."""

Potential: TypeAlias = Any
"""A potential: one number for each point, (n,), in cost units."""

Matrix: TypeAlias = Any
"""One number for each pair of points, (n, m): a plan, a gradient in the cost, or a table Q, which
`refot.information` defines."""

CostLike: TypeAlias = Any
"""A cost between all pairs of points: a matrix (n, m), or an operand of `refot.costs.operands`,
which may hold the points instead of the matrix."""

Masses: TypeAlias = Any
"""Masses (n,) or (n, m): none negative, with any sum."""

Codes: TypeAlias = Any
"""The informative code of each latent sample, the part of it that a generator is to show in its
output (`refot.information`): integers (n,), from 0."""

Vector: TypeAlias = Any
"""One point or direction, (d,)."""


class InputError(ValueError):
    """An argument that cannot be used: the message says which, what was found, what is allowed."""

    def __init__(self, name: str, found: str, allowed: str) -> None:
        super().__init__(name, found, allowed)  # `pickle` and `copy` rebuild the error from these
        self.name, self.found, self.allowed = name, found, allowed

    def __str__(self) -> str:
        return f"{self.name}: {self.found}; allowed: {self.allowed}"


class TypeInputError(InputError):
    """An argument of the wrong type or dtype."""


class ShapeError(InputError):
    """An array of the wrong shape, or two arrays whose shapes do not fit."""


class WeightError(InputError):
    """Weights that are negative, or that do not sum to 1."""


class RangeError(InputError):
    """Each argument is in range, but the result would be infinite or NaN."""


class UnknownNameError(InputError):
    """A name that is not one of those allowed, of a cost or a backend for example."""


class ConvergenceWarning(UserWarning):
    """A solve stopped before it reached its tolerance. Its result says which error it did reach."""


def namespace(array: Array) -> ModuleType:
    """The library an array belongs to: `numpy`, or whichever package defines its type."""
    return sys.modules.get(type(array).__module__.partition(".")[0], np)


SUM_ROUNDINGS = 16
"""How far a sum of weights may be from 1 before the weights are divided by it, in roundings (2^-53
in float64). A sum of floats is itself wrong by a few roundings: dividing by it would not improve
weights that are nearer to 1."""


WEIGHT_TOLERANCES = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 8e-3}
"""How far from 1 the sum of weights that come in this dtype may be; in any other, 1e-10."""


def weight_tolerance(dtype: Any) -> float:
    """How far from 1 the sum of weights of this dtype may be: 1e-10 in float64, 1e-5 in float32.

    That is about 900,000 roundings of float64 (2^-53 each), and 170 of float32 (2^-24 each).
    float64 is allowed more of them, because its weights are often read from text with ten digits.
    In half precision it is 4 roundings (2^-11 each in float16, 2^-9 in bfloat16): right weights
    that were rounded to half precision have a sum that is off by at most one rounding.
    """
    name = str(dtype if not isinstance(dtype, type) else np.dtype(dtype)).rpartition(".")[2]
    return WEIGHT_TOLERANCES.get(name, 1e-10)


def marginal_tolerance(dtype: Any) -> float:
    """The default marginal error at which a solve stops: 1e-9 in float64, 1e-5 in float32."""
    return 1e-9 if np.dtype(dtype).itemsize == 8 else 1e-5


def as_floating(values: Any, name: str, ndim: int | tuple[int, ...]) -> Array:
    """`values` as a float array with `ndim` axes, none of them empty. It may hold NaN or infinity.

    `values` may be an array of any library, a data frame or a list. float64 and float32 stay, in
    the byte order of the machine. Integers and booleans become float64; float16 and bfloat16 become
    float32. Any other dtype, a sparse array and a tensor that requires grad raise TypeInputError.
    """
    array = _as_array(values, name)
    if array.dtype.kind in "iub":
        array = array.astype(np.float64)
    elif array.dtype == np.float16 or array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    elif array.dtype.newbyteorder("=") in (np.float64, np.float32):
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    else:
        raise TypeInputError(name, f"dtype {array.dtype}",
                             "float64, float32, float16, bfloat16, integers or booleans")
    allowed = ndim if isinstance(ndim, tuple) else (ndim,)
    if array.ndim not in allowed:
        dimensions = " or ".join(f"{k} dimension{'s' * (k > 1)}" for k in allowed)
        raise ShapeError(name, f"shape {array.shape}", dimensions)
    if array.size == 0:
        raise ShapeError(name, f"shape {array.shape}", "at least one element along each axis")
    return array


def _as_array(values: Any, name: str) -> Array:
    """`values` as an array of NumPy or CuPy, of any dtype."""
    if values is None:
        raise TypeInputError(name, "None", "an array of real numbers")
    _refuse_mask(values, name)
    if hasattr(values, "toarray") or hasattr(values, "todense"):
        raise TypeInputError(name, "a sparse array", f"a dense one: {name}.toarray()")
    _refuse_gradient(values, name, "a loss of refot.torch, which torch can differentiate")
    try:
        array = on_host(as_plain_numbers(values))
        return (namespace(array) if follows_numpy(array) else np).asarray(array)
    except (ValueError, TypeError, RuntimeError, BufferError) as error:
        if type(error).__module__.startswith("jax"):  # raised for a tracer, in grad, jit or vmap
            raise TypeInputError(name, "a traced array, which has no numbers yet",
                                 "a loss of refot.jax, which jax can trace") from None
        raise TypeInputError(name, f"not an array ({error})", "an array of real numbers") from None


def _refuse_gradient(values: Any, name: str, instead: str) -> None:
    """Raise TypeInputError for a tensor that requires grad: none would come back through NumPy."""
    if getattr(values, "requires_grad", False) is True:
        raise TypeInputError(name, "a tensor that requires grad", f"{instead}; or {name}.detach()")


def is_masked(values: Any) -> bool:
    """Whether `values` is a NumPy masked array that hides at least one entry."""
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())


def _refuse_mask(values: Any, name: str) -> None:
    """Raise InputError for masked entries: NumPy would drop the mask and compute with the numbers
    below it."""
    if is_masked(values):
        raise InputError(
            name, "masked entries",
            f"an array without a mask: {name}.filled(value), or the entries left out; only in a "
            "cost matrix C does a mask have a meaning, that of forbidden pairs")


def largest(dtype: Any) -> float:
    """The largest number allowed in an array: 4e304 in float64, 8e34 in float32.

    It is 2^-12 of the largest float, so that sums and differences of a few entries stay finite.
    """
    return float(np.finfo(dtype).max) * 2.0**-12


def _finite(array: Array, name: str) -> Array:
    """`array`, unchanged. Raises InputError unless each entry is finite and at most `largest`."""
    bound = largest(array.dtype)
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())  # both NaN if any entry is
    if -bound <= low and high <= bound:
        return array
    finite = namespace(array).isfinite(array)
    if not bool(finite.all()):
        raise InputError(name, first_failure(array, finite), "finite values")
    raise InputError(name, first_failure(array, abs(array) <= bound),
                     f"at most {bound:.1g} in size, for {array.dtype}")


def in_dtype(array: Array, dtype: Any, name: str) -> Array:
    """`array` rounded to `dtype`. Raises InputError where an entry is too large for that dtype."""
    if np.dtype(dtype).itemsize < array.dtype.itemsize:
        bound = largest(dtype)
        if not bool((abs(array) <= bound).all()):
            raise InputError(name, first_failure(array, abs(array) <= bound),
                             f"at most {bound:.1g} in size: the cost is {np.dtype(dtype)}")
    return array.astype(dtype, copy=False)


def nonnegative(array: Array, name: str) -> Array:
    """`array`, unchanged. Raises WeightError where an entry is negative."""
    if not bool((array >= 0).all()):
        raise WeightError(name, first_failure(array, array >= 0), "entries >= 0")
    return array


def first_failure(array: Array, holds: Array) -> str:
    """The first entry at which `holds` is false, and its place, as text for a message."""
    first = tuple(int(k) for k in np.unravel_index(int(holds.argmin()), array.shape))
    return f"{array[first]} at [{', '.join(map(str, first))}]"


def as_points(values: Any, name: str = "x") -> Array:
    """Points (n, d): finite float64 or float32. Raises InputError."""
    return _finite(as_floating(values, name, ndim=2), name)


def as_matrix(values: Any, name: str = "C", shape: tuple[int, int] | None = None) -> Array:
    """A matrix (n, m) of finite numbers, of this `shape` if one is given. Raises InputError."""
    matrix = _finite(as_floating(values, name, ndim=2), name)
    if shape is not None and matrix.shape != shape:
        raise ShapeError(name, f"shape {matrix.shape}", f"{shape}")
    return matrix


def as_plan(values: Any, name: str = "P", shape: tuple[int, int] | None = None) -> Array:
    """A matrix (n, m) of masses: finite, >= 0, of any total. Raises InputError."""
    return nonnegative(as_matrix(values, name, shape), name)


def as_masses(values: Any, name: str) -> Array:
    """Masses (n,) or (n, m): finite, >= 0, of any total. Raises InputError."""
    return nonnegative(_finite(as_floating(values, name, ndim=(1, 2)), name), name)


def as_vector(values: Any, n: int, name: str) -> Array:
    """A vector (n,) of finite values, a potential for example. Raises InputError."""
    vector = _finite(as_floating(values, name, ndim=1), name)
    if vector.shape != (n,):
        raise ShapeError(name, f"shape {vector.shape}", f"({n},), to fit the other arguments")
    return vector


def as_weights(values: Any, n: int | None, name: str = "a", dtype: Any = None,
               normalise: bool = False) -> Array:
    """Weights (n,), or of any length where n is None: finite, >= 0, of sum 1. Raises InputError.

    This rule holds for the weights of every function. None stands for uniform weights, where n is
    known. The sum may differ from 1 by `weight_tolerance` of the dtype that the weights came in;
    with `normalise`, for counts, it may be any number > 0. If the sum is off by more than
    SUM_ROUNDINGS, the weights are then divided by it in float64, and rounded once to `dtype`, that
    of the problem. Without a `dtype` they keep their own, and are divided only with `normalise`. A
    weight of 0 is allowed: its point has no mass, but its potential is still defined.
    """
    if values is None and n is not None:
        return uniform(n).astype(dtype or np.float64)
    weights = as_floating(values, name, ndim=1) if n is None else as_vector(values, n, name)
    weights = nonnegative(_finite(weights, name), name)
    with np.errstate(over="ignore"):  # a sum that overflows is refused below
        total = float(weights.sum(dtype=np.float64))
    _check_total(total, getattr(values, "dtype", None), name, normalise)
    if dtype is None and not normalise:
        return weights
    dtype = dtype or weights.dtype
    if abs(total - 1.0) > SUM_ROUNDINGS * float(np.finfo(dtype).epsneg):  # epsneg: one rounding
        weights = weights.astype(np.float64) / total
    return weights.astype(dtype, copy=False)


def as_both_weights(a: Weights, b: Weights, shape: tuple[int, int], dtype: Any,
                    normalise: bool = False) -> tuple[Array, Array]:
    """Weights a (n,) and b (m,) of rows and columns, for the `shape` (n, m): `as_weights`."""
    return (as_weights(a, shape[0], "a", dtype, normalise),
            as_weights(b, shape[1], "b", dtype, normalise))


def _check_total(total: float, dtype: Any, name: str, normalise: bool) -> None:
    """Raise WeightError for a sum of weights that is not 1, or with `normalise` not above 0."""
    if normalise:
        if not 0 < total < math.inf:
            raise WeightError(name, f"sum {total!r}", "a finite sum > 0")
        return
    tolerance = weight_tolerance(dtype)
    if not abs(total - 1.0) <= tolerance:
        raise WeightError(name, f"sum {total!r}, off by {total - 1.0:.2g}",
                          f"sum 1 within {tolerance:g}: {name} / {name}.sum(), or normalise=True "
                          "where that is an option")


def uniform(n: int, like: Array | None = None) -> Array:
    """Uniform weights 1/n (n,), in the library and dtype of `like`."""
    if like is None:
        return np.full(n, 1.0 / n)
    return namespace(like).full(n, 1.0 / n, dtype=like.dtype)


def as_number(value: Any, name: str) -> float:
    """A finite real number. Raises InputError."""
    _refuse_mask(value, name)
    _refuse_gradient(value, name, "a number: no loss has a gradient in it")
    not_real = bool | np.bool_ | str | bytes | complex | np.complexfloating
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # a number may have no dtype
    if isinstance(value, not_real) or getattr(value, "ndim", 0) != 0 or kind not in "fiu":
        raise TypeInputError(name, f"{value!r}", "a real number")
    try:
        number = float(value)
    except (TypeError, ValueError, AttributeError):
        raise TypeInputError(name, f"{value!r}", "a real number") from None
    except OverflowError:
        raise InputError(name, "an integer beyond the range of floats", "a finite number") from None
    if not math.isfinite(number):
        raise InputError(name, f"{number}", "a finite number")
    return number


def as_positive(value: Any, name: str = "eps") -> float:
    """A finite number > 0, in cost units for eps. Raises InputError."""
    number = as_number(value, name)
    if not number > 0:
        raise InputError(name, f"{number}", "a number > 0")
    return number


def as_count(value: Any, name: str) -> int:
    """A whole number >= 1: iterations, for example. Raises InputError."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeInputError(name, f"{value!r}", "a whole number") from None
    if isinstance(value, bool):
        raise TypeInputError(name, f"{value!r}", "a whole number")
    if not 1 <= count <= sys.maxsize:
        found = f"{count}" if abs(count) <= sys.maxsize else "an integer beyond the range of counts"
        raise InputError(name, found, "a whole number >= 1")
    return count


def in_range(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that it raises RangeError in place of returning infinity or NaN.

    It is for functions whose result may leave the range of floats although each argument is in
    range. NumPy's warnings about overflow are silenced meanwhile, since the error reports it.
    """
    @wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> T:
        with np.errstate(all="ignore"):
            result = function(*arguments, **options)
        for part in result if isinstance(result, tuple) else (result,):
            xp = np if isinstance(part, float) else namespace(part)
            if not bool(xp.isfinite(part).all()):
                raise RangeError(function.__name__, "a result that is infinite or NaN",
                                 "arguments whose result is in the range of floats")
        return result

    return checked


def lookup(table: dict[str, Any], key: str, name: str) -> Any:
    """`table[key]`. Raises UnknownNameError, which lists the keys, if it is not there."""
    if not isinstance(key, str) or key not in table:
        raise UnknownNameError(name, f"{key!r}", "one of " + ", ".join(sorted(table)))
    return table[key]


def as_each(values: Iterable[Any], name: str, check: Callable[[Any, str], T]) -> list[T]:
    """The entries of a list, each passed through `check`. Raises InputError, also if empty."""
    try:
        entries = list(values)
    except TypeError:
        raise TypeInputError(name, f"{values!r}", "a list of numbers") from None
    if not entries:
        raise InputError(name, "an empty list", "at least one number")
    return [check(entry, f"{name}[{k}]") for k, entry in enumerate(entries)]
