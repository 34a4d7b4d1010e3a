"""Arrays of other libraries (PyTorch, JAX, ...): functions of refot compute with NumPy's arrays in
their place, and return results as arrays of the caller's library.

Such an array is recognised by two protocols that libraries share, DLPack and the Python array API
standard (`array_api_compat`), so that there is no list of libraries here. No library is imported
that the caller has not imported.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")


class Origin(NamedTuple):
    """Where an array came from: the module `xp` with the functions that the array API standard
    demands of its library, its device, and the name of the library."""

    xp: Any
    device: Any
    library: str

    def array(self, values: Any) -> Any:
        """`values` as an array of this library, on this device, of the same dtype."""
        return self.xp.asarray(values, device=self.device)


def library(values: Any) -> str:
    """The name of the package that defines the type of `values`."""
    return type(values).__module__.partition(".")[0]


def origin(values: Any) -> Origin | None:
    """Where an array came from; None for NumPy's arrays, and for anything that is no array."""
    if isinstance(values, np.ndarray | np.generic | type) or not hasattr(values, "__dlpack__"):
        return None
    from array_api_compat import array_namespace, device  # not needed for NumPy's arrays

    try:
        return Origin(array_namespace(values), device(values), library(values))
    except (TypeError, AttributeError):
        # The library has DLPack but not the array API: no result can be made an array of it.
        return None


def on_host(values: Any) -> Any:
    """An array of another library as a NumPy array; anything else unchanged.

    Nothing is copied where both libraries can share the memory. A float dtype that NumPy lacks
    (bfloat16), and float16, become float32. Raises what the library raises.
    """
    found = origin(values)
    if found is None or follows_numpy(values):
        return values
    from array_api_compat import to_device

    xp = found.xp
    if xp.isdtype(values.dtype, "real floating") and values.dtype not in (xp.float32, xp.float64):
        values = xp.astype(values, xp.float32)
    try:
        return np.asarray(values)
    except TypeError as error:
        if type(error).__module__ != "builtins":
            raise  # an error of the library, such as that of JAX for an array under a trace
        return np.asarray(to_device(values, "cpu"))  # it lies on a GPU, which NumPy does not read


def as_plain_numbers(values: Any) -> Any:
    """A frame or a column of nullable numbers, as pandas has them ("Float64", "Int64"), in float64,
    with NaN for what is missing: NumPy alone would make objects of them. Anything else unchanged.
    """
    if not hasattr(values, "to_numpy") or not hasattr(values, "dtypes"):
        return values
    kinds = values.dtypes if hasattr(values.dtypes, "__iter__") else [values.dtypes]
    numbers = all(getattr(kind, "kind", "O") in "fiub" for kind in kinds)  # Polars has no kinds
    if not numbers or all(isinstance(kind, np.dtype) for kind in kinds):
        return values
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def follows_numpy(values: Any) -> bool:
    """Whether an array has NumPy's interface, and its dtypes, as CuPy's arrays do. refot computes
    with such arrays on the device where they lie."""
    own = sys.modules.get(library(values))
    return hasattr(own, "asarray") and isinstance(getattr(values, "dtype", None), np.dtype)


# ------------------------------------------------------------------ what goes in comes out
def as_given(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function so that its results are arrays of the library that its arguments belong
    to, on the device of the first array among them."""
    @wraps(function)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> T:
        first = None if _inside.get() else first_origin((*arguments, *options.values()))
        if first is None:
            return function(*arguments, **options)
        token = _inside.set(True)
        try:
            on_host_options = {name: record_on_host(value) for name, value in options.items()}
            result = function(*map(record_on_host, arguments), **on_host_options)
        finally:
            _inside.reset(token)
        return cast(T, returned(result, first))

    return wrapped


def methods_as_given(cls: type[T]) -> type[T]:
    """Decorate each method of a dataclass whose fields may be arrays of another library: the method
    computes with NumPy's arrays, and returns arrays of that library."""
    for name, method in list(vars(cls).items()):
        if inspect.isfunction(method) and not name.startswith("__"):
            setattr(cls, name, as_given(method))
    return cls


def record_on_host(argument: Any) -> Any:
    """A dataclass with the arrays in its fields converted to NumPy's; a tuple with its dataclasses
    converted in this way; anything else unchanged. Where an argument is an array itself, the
    function converts it when it checks it."""
    if isinstance(argument, tuple) and not isinstance(argument, Origin):
        return like_tuple(argument, map(record_on_host, argument))
    if not dataclasses.is_dataclass(argument) or isinstance(argument, type):
        return argument
    fields = {field.name: getattr(argument, field.name) for field in dataclasses.fields(argument)}
    changed = {name: on_host(value) for name, value in fields.items() if origin(value) is not None}
    return dataclasses.replace(argument, **changed) if changed else argument


_inside: ContextVar[bool] = ContextVar("refot_inside", default=False)
"""Whether a function decorated by `as_given` is running. Those that it calls then convert nothing:
the outermost one does."""


def first_origin(arguments: Iterable[Any]) -> Origin | None:
    """Where the first array of another library came from, among the arguments and the fields of
    dataclasses among them. A PointCost has a field that says where its points came from. Of a named
    tuple all members are looked at, of a list or another tuple only the first."""
    for argument in arguments:
        if hasattr(type(argument), "_fields") and not isinstance(argument, Origin):
            found = first_origin(argument)
            if found is not None:
                return found
            continue
        while isinstance(argument, list | tuple) and argument and not isinstance(argument, Origin):
            argument = argument[0]
        record = dataclasses.is_dataclass(argument) and not isinstance(argument, type)
        fields = dataclasses.fields(argument) if record else ()
        for value in (argument, *(getattr(argument, field.name) for field in fields)):
            found = value if isinstance(value, Origin) else origin(value)
            if found is not None:
                return found
    return None


def like_tuple(given: tuple[Any, ...], parts: Iterable[Any]) -> tuple[Any, ...]:
    """A tuple of these parts; a named tuple of the same type if `given` is one."""
    named = getattr(type(given), "_make", None)
    return tuple(parts) if named is None else cast(tuple[Any, ...], named(parts))


def returned(result: Any, to: Origin) -> Any:
    """A result with its arrays as arrays of the library `to`. It may be an array, a tuple, a
    generator of tuples, or a dataclass with arrays among its fields."""
    if isinstance(result, np.ndarray) or origin(result) is not None:
        return result if library(result) == to.library else to.array(result)
    if isinstance(result, tuple) and not isinstance(result, Origin):
        return like_tuple(result, (returned(part, to) for part in result))
    if inspect.isgenerator(result):
        return (returned(part, to) for part in result)
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        arrays = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
        changed = {name: returned(array, to) for name, array in arrays.items()
                   if isinstance(array[0] if isinstance(array, tuple) and array else array,
                                 np.ndarray)}
        return dataclasses.replace(result, **changed)
    return result
