"""Wrong answers made from right ones, by a change of shape, type or numbers, or by replacement with
any other object. The verifier must survive all of them."""

from __future__ import annotations

import decimal
import fractions
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Mangler = Callable[[np.random.Generator, Any], Any]


class Raises:
    """An object that raises `error` at any use."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def _raise(self, *_: Any, **__: Any) -> Any:
        raise self.error

    __array__ = __len__ = __iter__ = __float__ = __bool__ = __getitem__ = __repr__ = _raise
    __eq__ = __lt__ = __add__ = __sub__ = __mul__ = __array_ufunc__ = _raise
    __hash__ = None  # type: ignore[assignment]


class Holds:
    """An object that becomes an array by `np.asarray`, like a tensor of another library."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.array


class Subclass(np.ndarray):
    """A subclass of NumPy's array, as other libraries define them, which cannot be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


# ------------------------------------------------------------------ the numbers
NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324, 1e-300, 1e-45, 1e16, 1e38, 1e154,
           -1e155, 1.7e308, -1.7e308)


def _one_entry(rng: np.random.Generator, right: Any) -> Any:
    array = _array(right).astype(np.float64, copy=True)
    array.reshape(-1)[rng.integers(max(1, array.size)):][:1] = rng.choice(NUMBERS)
    return array


def _all_entries(rng: np.random.Generator, right: Any) -> Any:
    return np.full(_array(right).shape, rng.choice(NUMBERS))


def _scaled(rng: np.random.Generator, right: Any) -> Any:
    with np.errstate(all="ignore"):
        return _array(right) * (rng.choice([-1, 1]) * 10.0 ** rng.uniform(-320, 308))


def _moved(rng: np.random.Generator, right: Any) -> Any:
    with np.errstate(all="ignore"):
        return _array(right) + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-16, 308)


def _noisy(rng: np.random.Generator, right: Any) -> Any:
    array = _array(right)
    with np.errstate(all="ignore"):
        return array + rng.normal(size=array.shape) * 10.0 ** rng.uniform(-16, 300)


def _any_numbers(rng: np.random.Generator, right: Any) -> Any:
    return rng.choice(NUMBERS, size=_array(right).shape)


# ------------------------------------------------------------------ the type
DTYPES = ("f2", "f4", ">f8", "g", "c8", "c16", "i1", "u1", "i8", "u8", "?", "O", "U5", "S3",
          "m8[s]", "M8[s]", "V8")


def _typed(rng: np.random.Generator, right: Any) -> Any:
    dtype = str(rng.choice(DTYPES))
    with np.errstate(all="ignore"):
        if dtype in ("M8[s]", "V8", "m8[s]"):
            return np.zeros(_array(right).shape, dtype)
        return _array(right).astype(dtype)


def _record(rng: np.random.Generator, right: Any) -> Any:
    return np.zeros(_array(right).shape, [("value", "f8"), ("name", "U3")])


def _other_type(rng: np.random.Generator, right: Any) -> Any:
    array = _array(right)
    return [
        array.tolist, lambda: tuple(array.ravel()), lambda: (each for each in array.ravel()),
        lambda: Holds(array), lambda: Holds("text"), lambda: array.view(Subclass),
        lambda: np.ma.masked_array(array, mask=rng.random(array.shape) < 0.5),
        lambda: np.ma.masked, lambda: str(array), lambda: array.tobytes(),
        lambda: memoryview(array),
        lambda: {"result": array}, lambda: [array, array], lambda: (array,), lambda: {1.0, 2.0},
        lambda: np.matrix(np.atleast_2d(array) if array.ndim < 3 else 1.0), lambda: iter([1.0]),
        lambda: np.array(array, dtype=object), lambda: decimal.Decimal("1.5"),
        lambda: decimal.Decimal("NaN"), lambda: fractions.Fraction(1, 3),
    ][rng.integers(21)]()


def _no_numbers(rng: np.random.Generator, right: Any) -> Any:
    return [
        None, "", "nan", "a\ud800", b"\xff", (), [], {}, [[]], [None], [[1.0], [1.0, 2.0]],
        [[[]], 1],
        True, False, 10**400, -(10**30), 1j, complex("nan"), object(), object, print, np,
        NotImplemented, ..., slice(2), range(3), range(10**9), Raises(RuntimeError("no")),
        Raises(SystemExit(0)), Raises(MemoryError()), Raises(RecursionError()),
        Raises(StopIteration()), Raises(GeneratorExit()),
        Raises(NotImplementedError("later")), Raises(TimeoutError("late")),
        ValueError("returned, not raised"), np.float64, np.nan, np.float32(np.inf), _nested(200),
        _nested(100_000), _within_itself(), np.datetime64("NaT"), np.array(None), np.array("text"),
        np.zeros((0, 3)), np.zeros((1,) * 32), np.broadcast_to(1.0, (10**6, 10**6)),
    ][rng.integers(48)]


def _nested(levels: int) -> Any:
    found: Any = 1.0
    for _ in range(levels):
        found = [found]
    return found


def _within_itself() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


# ------------------------------------------------------------------ the shape
def _shaped(rng: np.random.Generator, right: Any) -> Any:
    array = _array(right)
    return [
        lambda: array.T, lambda: array[None], lambda: array[..., None], lambda: array.ravel(),
        lambda: array.sum(), lambda: np.array(array.sum()), lambda: array[:0] if array.ndim else [],
        lambda: np.concatenate([array, array]) if array.ndim else [array, array],
        lambda: array[:-1] if array.ndim else [[array]],
        lambda: array[::-1] if array.ndim else -array,
        lambda: np.asfortranarray(array), lambda: np.broadcast_to(array.mean(), array.shape),
        lambda: np.zeros((*array.shape, 0)),
        lambda: np.moveaxis(array, 0, -1) if array.ndim else array,
    ][rng.integers(14)]()


MANGLERS: tuple[Mangler, ...] = (_one_entry, _all_entries, _scaled, _moved, _noisy, _any_numbers,
                                 _typed, _record, _other_type, _no_numbers, _shaped)


def mangled(rng: np.random.Generator, right: Any) -> Any:
    """A right answer changed by one of MANGLERS. In a pair (f, g), a list or a dict, only some of
    the items may be changed."""
    if isinstance(right, tuple | list) and rng.random() < 0.7:
        k = int(rng.integers(len(right)))
        return type(right)(mangled(rng, each) if k == i or rng.random() < 0.2 else each
                           for i, each in enumerate(right))
    if isinstance(right, dict) and rng.random() < 0.8:
        return {name if rng.random() > 0.02 else object(): mangled(rng, each)
                if rng.random() < 0.3 else each for name, each in right.items()}
    if isinstance(right, str | bool | tuple | list | dict):
        right = 1.0
    return MANGLERS[rng.integers(len(MANGLERS))](rng, right)


def _array(right: Any) -> np.ndarray:
    return np.asarray(right, dtype=np.float64)


def some(seed: int, right: Any, number: int) -> Iterator[Any]:
    """This `number` of mangled answers, drawn from the seed."""
    rng = np.random.default_rng(seed)
    return (mangled(rng, right) for _ in range(number))
