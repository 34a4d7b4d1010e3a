"""Checked inputs: every public function passes its arguments through here before any work.

Holds the error classes, the array namespace of an argument, and one function for each kind of
argument (points, weights, matrix, potential, eps). Each returns the argument ready for use, as an
array of its own library: a NumPy array stays NumPy, a CuPy array stays on its device.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

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

Potential: TypeAlias = Any
"""A potential: one number for each point, (n,), in cost units."""

Matrix: TypeAlias = Any
"""One number for each pair of points, (n, m): a plan, a table Q, a gradient in the cost."""

CostLike: TypeAlias = Any
"""A cost between all pairs of points: a matrix (n, m), or an operand of `refot.costs.operands`,
which may hold the points instead of the matrix."""

Masses: TypeAlias = Any
"""Masses (n,) or (n, m): none negative, with any sum."""

Codes: TypeAlias = Any
"""The informative code of each latent sample: integers (n,), from 0."""

Vector: TypeAlias = Any
"""One point or direction, (d,)."""


class InputError(ValueError):
    """An argument that cannot be used: names it, what was found, and what is allowed."""

    def __init__(self, name: str, found: str, allowed: str) -> None:
        super().__init__(name, found, allowed)  # what `pickle` and `copy` make it from again
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
    """Arguments in range, whose result is not: it would be infinite, or NaN."""


class UnknownNameError(InputError):
    """A name that is not in the table it was looked up in."""


class ConvergenceWarning(UserWarning):
    """A solve stopped before it reached its tolerance; the result says how far it came."""


def namespace(array: Array) -> ModuleType:
    """The library an array belongs to: `numpy`, or whichever package defines its type."""
    return sys.modules.get(type(array).__module__.partition(".")[0], np)


SUMMED = 16
"""Weights whose sum is within so many roundings of 1 are as normalised as a sum in floats shows."""


def weight_tolerance(dtype: Any) -> float:
    """How far from 1 a sum of weights may be that come in this dtype.

    1e-10 in float64 and 1e-5 in float32: 2^20 and 2^8 roundings u = 2^-53 and 2^-24, about. More
    in float64, because such weights are often read from text with ten digits.
    """
    return 1e-10 if np.dtype(dtype).itemsize == 8 else 1e-5


def marginal_tolerance(dtype: Any) -> float:
    """The marginal error at which a solve stops unless told: 1e-9 in float64, 1e-5 in float32."""
    return 1e-9 if np.dtype(dtype).itemsize == 8 else 1e-5


def as_floating(values: Any, name: str, ndim: int | tuple[int, ...]) -> Array:
    """`values` as a float array with `ndim` axes, none empty, not yet checked to be finite.

    Integers become float64; any other dtype than float64 and float32 raises TypeInputError.
    """
    if values is None:
        raise TypeInputError(name, "None", "an array of real numbers")
    _refuse_mask(values, name)
    xp = namespace(values)
    if not hasattr(xp, "asarray") or not isinstance(getattr(values, "dtype", None), np.dtype):
        xp = np
    try:
        array = xp.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # the last: a tensor on a device
        raise TypeInputError(name, f"not an array ({error})", "an array of real numbers") from None
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if array.dtype not in (np.float64, np.float32):
        raise TypeInputError(name, f"dtype {array.dtype}", "float64, float32 or integers")
    allowed = ndim if isinstance(ndim, tuple) else (ndim,)
    if array.ndim not in allowed:
        dimensions = " or ".join(f"{k} dimension{'s' * (k > 1)}" for k in allowed)
        raise ShapeError(name, f"shape {array.shape}", dimensions)
    if array.size == 0:
        raise ShapeError(name, f"shape {array.shape}", "at least one element along each axis")
    return array


def is_masked(values: Any) -> bool:
    """Whether `values` is a NumPy masked array that hides at least one entry."""
    return isinstance(values, np.ma.MaskedArray) and bool(np.ma.getmaskarray(values).any())


def _refuse_mask(values: Any, name: str) -> None:
    """Raise InputError for masked entries: to drop the mask would take them for numbers."""
    if is_masked(values):
        raise InputError(
            name, "masked entries",
            f"an array without a mask: {name}.filled(value), or the entries left out; only in a "
            "cost matrix C does a mask have a meaning, that of forbidden pairs")


def largest(dtype: Any) -> float:
    """The largest number taken in an array: 4e304 in float64, 8e34 in float32; 2^-12 of the largest
    float, so that sums and differences of a few of them stay finite."""
    return float(np.finfo(dtype).max) * 2.0**-12


def _finite(array: Array, name: str) -> Array:
    """`array` as it is, where every entry is finite and at most `largest`. Raises InputError."""
    bound = largest(array.dtype)
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())  # NaN where there is one
    if -bound <= low and high <= bound:
        return array
    finite = namespace(array).isfinite(array)
    if not bool(finite.all()):
        raise InputError(name, first_failure(array, finite), "finite values")
    raise InputError(name, first_failure(array, abs(array) <= bound),
                     f"at most {bound:.1g} in size, for {array.dtype}")


def in_dtype(array: Array, dtype: Any, name: str) -> Array:
    """`array` rounded to `dtype`, where its entries are in the range of that. Raises InputError."""
    if np.dtype(dtype).itemsize < array.dtype.itemsize:
        bound = largest(dtype)
        if not bool((abs(array) <= bound).all()):
            raise InputError(name, first_failure(array, abs(array) <= bound),
                             f"at most {bound:.1g} in size: the cost is {np.dtype(dtype)}")
    return array.astype(dtype, copy=False)


def nonnegative(array: Array, name: str) -> Array:
    """`array` as it is, where no entry is negative. Raises WeightError."""
    if not bool((array >= 0).all()):
        raise WeightError(name, first_failure(array, array >= 0), "entries >= 0")
    return array


def first_failure(array: Array, holds: Array) -> str:
    """The first entry where `holds` is false, and its place."""
    first = tuple(int(k) for k in np.unravel_index(int(holds.argmin()), array.shape))
    return f"{array[first]} at [{', '.join(map(str, first))}]"


def as_points(values: Any, name: str = "x") -> Array:
    """Points (n, d): finite float64 or float32. Raises InputError."""
    return _finite(as_floating(values, name, ndim=2), name)


def as_matrix(values: Any, name: str = "C", shape: tuple[int, int] | None = None) -> Array:
    """A matrix (n, m), of the given shape where one is given: finite. Raises InputError."""
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


def as_weights(values: Any, n: int | None, name: str = "a", dtype: Any = None) -> Array:
    """Weights (n,), any number of them where n is None: finite, >= 0, of sum 1. Raises InputError.

    One rule everywhere. The sum is judged at the precision in which the weights come: it may be off
    by `weight_tolerance` of their own dtype. Then they are normalised in the precision of the
    problem, `dtype`: divided by their sum, and rounded once. Without a dtype they are returned as
    they came. A zero weight is allowed: its point has no mass, and its potential is still defined.
    """
    weights = as_floating(values, name, ndim=1) if n is None else as_vector(values, n, name)
    weights = nonnegative(_finite(weights, name), name)
    with np.errstate(over="ignore"):  # an infinite sum is not 1
        total = float(weights.sum(dtype=np.float64))
    tolerance = weight_tolerance(weights.dtype)
    if not abs(total - 1.0) <= tolerance:
        raise WeightError(name, f"sum {total!r}", f"sum 1 within {tolerance:g}")
    if dtype is None:
        return weights
    if abs(total - 1.0) > SUMMED * float(np.finfo(dtype).epsneg):  # epsneg: u, one rounding
        weights = weights.astype(np.float64) / total
    return weights.astype(dtype, copy=False)


def uniform(n: int, like: Array | None = None) -> Array:
    """Uniform weights 1/n (n,), in the library and dtype of `like`."""
    if like is None:
        return np.full(n, 1.0 / n)
    return namespace(like).full(n, 1.0 / n, dtype=like.dtype)


def as_number(value: Any, name: str) -> float:
    """A finite real number. Raises InputError."""
    _refuse_mask(value, name)
    not_real = bool | np.bool_ | str | bytes | complex | np.complexfloating
    kind = getattr(getattr(value, "dtype", None), "kind", "f")  # of a number of another library: f
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
    """For functions whose result may leave the range of floats for arguments that do not: they say
    so with a RangeError, and neither return infinity or NaN nor let NumPy warn on the way."""
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
    """`table[key]`, or an UnknownNameError that lists what there is."""
    if not isinstance(key, str) or key not in table:
        raise UnknownNameError(name, f"{key!r}", "one of " + ", ".join(sorted(table)))
    return table[key]
