"""A stand-in for CuPy, on the processor: arrays that never become NumPy arrays by themselves.

As with CuPy, `np.asarray(array)` raises TypeError, and so does an operation between such an array
and one of NumPy. A reduction gives an array without dimensions, not a number; nothing warns; and
only `get` returns the data as NumPy's. The namespace holds only functions that both NumPy and CuPy
have; `cupy_names.txt` lists them, from CuPy 14.2.
"""

from __future__ import annotations

import operator
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

MODULE = "strict_cupy"
NAMES = Path(__file__).with_name("cupy_names.txt").read_text(encoding="utf-8").split()


def unwrapped(value: Any) -> Any:
    """An argument as NumPy needs it: without the wrapper. Raises TypeError for a NumPy array, as
    CuPy does."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, list | tuple):
        return type(value)(unwrapped(item) for item in value)
    return value


def wrapped(value: Any) -> Any:
    """A result of NumPy as CuPy would return it: a number becomes an array without dimensions."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(*map(wrapped, value)) if hasattr(value, "_fields") else type(value)(
            wrapped(item) for item in value)
    return value


def lifted(function: Any) -> Any:
    """A function of NumPy that takes and returns these arrays, and does not warn."""

    def call(*arguments: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return wrapped(function(*unwrapped(arguments),
                                    **{name: unwrapped(value) for name, value in options.items()}))

    return call


class ndarray:  # noqa: N801 - CuPy's name
    """An array that stands for one on a GPU; the data are in the NumPy array `_host`."""

    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100

    def __init__(self, host: Any) -> None:
        self._host = host

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc.__name__ not in vars(namespace) and ufunc.__name__ not in OPERATORS:
            return NotImplemented
        return lifted(getattr(ufunc, method))(*inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function.__name__ not in vars(namespace):
            return NotImplemented
        return getattr(namespace, function.__name__)(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        return wrapped(self._host[unwrapped(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[unwrapped(key)] = unwrapped(value)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (wrapped(item) for item in self._host)

    def __float__(self) -> float:
        return float(self._host)

    def __int__(self) -> int:
        return int(self._host)

    def __index__(self) -> int:
        return operator.index(self._host)

    def __bool__(self) -> bool:
        return bool(self._host)

    def __str__(self) -> str:
        return str(self._host)

    def __repr__(self) -> str:
        return repr(self._host)

    def get(self) -> Any:
        """The data as a NumPy array."""
        return self._host.copy()

    @property
    def data(self) -> Any:
        """The address of the data, as `.data.ptr`."""
        return SimpleNamespace(ptr=self._host.ctypes.data)

    @property
    def T(self) -> Any:
        return ndarray(self._host.T)


OPERATORS = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
             "lshift", "rshift"]
for _name in (*OPERATORS, *(f"r{name}" for name in OPERATORS), *(f"i{name}" for name in OPERATORS),
              "lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", lifted(getattr(np.ndarray, f"__{_name}__")))
for _name in ("all", "any", "argmax", "argmin", "argsort", "astype", "clip", "copy", "cumsum",
              "diagonal", "dot", "fill", "flatten", "item", "max", "mean", "min", "nonzero", "prod",
              "ravel", "repeat", "reshape", "round", "sort", "squeeze", "std", "sum", "swapaxes",
              "take", "tolist", "trace", "transpose", "var"):
    setattr(ndarray, _name, lifted(getattr(np.ndarray, _name)))
for _name in ("dtype", "flags", "itemsize", "nbytes", "ndim", "shape", "size", "strides"):
    setattr(ndarray, _name, property(operator.attrgetter(f"_host.{_name}")))
ndarray.__module__ = MODULE


class _Ufunc:
    """A universal function (ufunc), with the methods that CuPy's have."""

    def __init__(self, ufunc: Any) -> None:
        self._call = lifted(ufunc)
        for method in ("outer", "reduce", "accumulate", "at", "reduceat"):
            setattr(self, method, lifted(getattr(ufunc, method)))

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._call(*arguments, **options)


def _asarray(values: Any, *arguments: Any, **options: Any) -> Any:
    """`asarray`, which accepts NumPy arrays; of all functions only `array` and `ascontiguousarray`
    do so too."""
    host = values._host if isinstance(values, ndarray) else values
    return ndarray(np.asarray(host, *arguments, **options))


def _offered(name: str, module: Any) -> Any:
    found = getattr(module, name)
    if isinstance(found, np.ufunc):
        return _Ufunc(found)
    return found if isinstance(found, type) or not callable(found) else lifted(found)


namespace = ModuleType(MODULE)
namespace.linalg = SimpleNamespace()  # type: ignore[attr-defined]
for _name in NAMES:
    _part, _, _function = _name.rpartition(".")
    _home = np.linalg if _part else np
    setattr(namespace.linalg if _part else namespace, _function, _offered(_function, _home))
vars(namespace).update(
    ndarray=ndarray, asarray=_asarray, asnumpy=lambda array: array.get(),
    array=lambda *arguments, **options: _asarray(*arguments, **options).copy(),
    ascontiguousarray=lambda array: ndarray(np.ascontiguousarray(_asarray(array)._host)))
sys.modules[MODULE] = namespace
