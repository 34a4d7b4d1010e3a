"""A solve that can be interrupted: the same call, made again, ends at the same bits.

What takes long in a solve are the operations of the backend. A checkpoint is a folder that holds
their results, each under a digest of the call: the operation, the cost and all arguments. A solve
has no randomness, so that a second run makes the same calls in the same order. It finds the results
of the first run in the folder, and computes from where these end. For this a method needs to do
nothing else than to compute by the operations of the backend. Only a kernel that is kept in memory
(`gibbs` and `sweep`) is computed again.
"""

from __future__ import annotations

import copy
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from refot.arrays import Array, InputError, TypeInputError
from refot.backend_contract import Backend
from refot.files import UnreadableError, read_arrays, whole_file
from refot.problem import Problem
from refot.solvers.loop import SinkhornResult

from .last import Follow, Last

if TYPE_CHECKING:
    from hashlib import blake2b

OPERATIONS = "softmin", "plan_apply", "marginals", "plan_cost", "plan_cost_gradient"
"""The operations whose results are kept: each passes over all pairs, and returns vectors."""

WORTH = 0.05
"""Seconds. A result that took less is not kept, because it is as quickly computed again as read."""

POTENTIALS = "potentials.npz"
"""The file of the last potentials, in the folder."""

COSTS = 4
"""The number of arrays of costs whose digests are remembered."""

R = TypeVar("R", bound=SinkhornResult)
"""The result of a solve."""


def resumed(folder: str | PathLike[str], p: Problem, run: Callable[[Problem, Follow], R]) -> R:
    """run(p, follow) with a checkpoint in the folder, which is made if there is none: `run` solves
    p, and hands its iterates through `follow`. The folder is emptied once the solve has converged.

    Raises InputError where the folder holds anything else than a checkpoint."""
    place = _folder(folder)
    last, results = Last(place / POTENTIALS, p), KeptResults(place, p.backend)
    found = last.rescued(lambda: run(replace(p, backend=results.recorded()), last.follow))
    if found.converged:
        for file in _files(place):
            file.unlink()
    else:
        last.write()
    return found


def _folder(path: str | PathLike[str]) -> Path:
    if not isinstance(path, str | PathLike) or not isinstance(fspath(path), str):
        raise TypeInputError("checkpoint", type(path).__name__, "the path of a folder")
    folder = Path(path)
    try:
        folder.mkdir(exist_ok=True)
    except (OSError, ValueError) as error:  # a ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError("checkpoint", f"{str(path)[:80]!r} ({why})",
                         "a folder that can be made, in one that exists") from None
    others = set(folder.iterdir()) - set(_files(folder))
    if others:
        raise InputError("checkpoint", f"a folder with {min(others).name!r} in it",
                         "a folder of its own, which is emptied when the solve has converged")
    return folder


def _files(folder: Path) -> list[Path]:
    """The files of a checkpoint, those that a killed process left half written included."""
    return [*folder.glob("answer-*.npz"), *folder.glob(POTENTIALS),
            *folder.glob(".answer-*.npz.*"), *folder.glob(f".{POTENTIALS}.*")]


class KeptResults:
    """The results of a backend's operations, kept in a folder."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._folder, self._backend = folder, backend
        self._digests: OrderedDict[Any, tuple[Array, bytes]] = OrderedDict()

    def recorded(self) -> Backend:
        """A copy of the backend that looks for each result in the folder before it computes."""
        recorded = copy.copy(self._backend)
        for name in OPERATIONS:
            setattr(recorded, name, partial(self._result, name))
        return recorded

    def _result(self, operation: str, C: Any, *arguments: Any) -> Any:
        """The result of the operation: the one in the folder or, if there is none, a new one, which
        is kept there if it took long enough (WORTH)."""
        file = self._folder / f"answer-{self._digest_of(operation, C, arguments)}.npz"
        if file.exists():
            try:
                return self._read(file)
            except UnreadableError:  # a damaged file: the result is computed again
                file.unlink()
        start = time.perf_counter()
        result = getattr(self._backend, operation)(C, *arguments)
        parts = result if isinstance(result, tuple) else (result,)
        arrays = [self._backend.to_numpy(part) for part in parts]
        if time.perf_counter() - start >= WORTH:
            with whole_file(file) as out:
                np.savez(out, *arrays, allow_pickle=False)
        return result

    def _read(self, file: Path) -> Any:
        arrays = read_arrays(file)
        parts = [arrays[f"arr_{k}"] for k in range(len(arrays))]
        if parts[0].ndim == 0:
            return float(parts[0])
        result = tuple(self._backend.asarray(part) for part in parts)
        return result if len(result) > 1 else result[0]

    # ------------------------------------------------------------------ the digest of a call
    def _digest_of(self, operation: str, C: Any, arguments: tuple[Any, ...]) -> str:
        """A digest of the operation and of all that its result depends on."""
        inner = getattr(getattr(self._backend, "inner", None), "name", "")
        digest = _digest(f"{self._backend.name} {inner} {operation}")
        digest.update(self._cost(C))
        for each in arguments:
            digest.update(repr(each).encode() if each is None or np.isscalar(each)
                          else self._content(each))
        return digest.hexdigest()

    def _cost(self, C: Any) -> bytes:
        """A digest of a cost operand. Its arrays do not change during a solve, so that each needs
        to be read once."""
        parts = [type(C).__name__.encode()]
        for field in fields(C):
            value = getattr(C, field.name)
            if hasattr(value, "shape"):
                parts.append(self._remembered(value))
            elif field.compare and not (is_dataclass(value) and hasattr(value, "order")):
                parts.append(repr(value).encode())
        return b" ".join(parts)

    def _remembered(self, array: Array) -> bytes:
        """`_content` of an array of costs, computed once as long as it is among the last COSTS."""
        where = getattr(array, "__array_interface__", None)
        key = id(array) if where is None else (where["data"], where["strides"], array.shape)
        if key not in self._digests:
            # The array is held too, so that no other one can come to lie at the same address.
            self._digests[key] = array, self._content(array)
            if len(self._digests) > COSTS:
                self._digests.popitem(last=False)
        return self._digests[key][1]

    def _content(self, array: Array) -> bytes:
        """A digest of the dtype, the shape and the entries of an array."""
        on_host = self._backend.to_numpy(array)
        digest = _digest(f"{on_host.dtype.str} {on_host.shape}")
        digest.update(np.ascontiguousarray(on_host).data)
        return digest.digest()


def _digest(text: str) -> blake2b:
    """A digest that begins with this text."""
    from hashlib import blake2b  # here, because `import refot` would take 3 ms longer

    return blake2b(text.encode(), digest_size=20)
