"""A solve that can be interrupted: the same call, made again, ends at the same bits.

What takes long in a solve are the operations of the backend. A checkpoint is a folder that holds
their answers, each under a digest of what was asked: the operation, the cost and all arguments. A
solve that begins anew asks the same questions in the same order, for nothing in it is left to
chance. So it finds the answers that the first one had, and computes from there on. This needs
nothing of a method but that it goes by way of the backend; a kernel that is kept in memory (`gibbs`
and `sweep`) is computed again.
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
"""The operations whose answers are kept: each passes over all pairs, and returns vectors."""

WORTH = 0.05
"""An answer that took fewer seconds is not kept: it is as quickly computed again."""

POTENTIALS = "potentials.npz"
"""The file of the last potentials, in the folder."""

COSTS = 4
"""Arrays of costs whose digests are remembered."""

R = TypeVar("R", bound=SinkhornResult)
"""The result of a solve."""


def resumed(folder: str | PathLike[str], p: Problem, run: Callable[[Problem, Follow], R]) -> R:
    """run(p, follow) with a checkpoint in the folder, which is made if there is none: `run` solves
    p, and hands its iterates through `follow`. The folder is emptied once the solve has converged.

    Raises InputError where the folder holds anything else than a checkpoint."""
    place = _folder(folder)
    last, answers = Last(place / POTENTIALS, p), Answered(place, p.backend)
    found = last.rescued(lambda: run(replace(p, backend=answers.recorded()), last.follow))
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


class Answered:
    """The answers of a backend, kept in a folder."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._folder, self._backend = folder, backend
        self._digests: OrderedDict[Any, tuple[Array, bytes]] = OrderedDict()

    def recorded(self) -> Backend:
        """A copy of the backend that looks for each answer in the folder before it computes."""
        recorded = copy.copy(self._backend)
        for name in OPERATIONS:
            setattr(recorded, name, partial(self._answer, name))
        return recorded

    def _answer(self, operation: str, C: Any, *arguments: Any) -> Any:
        """The answer of the operation: the one that is kept, or a new one."""
        file = self._folder / f"answer-{self._question(operation, C, arguments)}.npz"
        if file.exists():
            try:
                return self._read(file)
            except UnreadableError:  # a disk that lies: then it is computed again
                file.unlink()
        start = time.perf_counter()
        answer = getattr(self._backend, operation)(C, *arguments)
        parts = answer if isinstance(answer, tuple) else (answer,)
        arrays = [self._backend.to_numpy(part) for part in parts]
        if time.perf_counter() - start >= WORTH:
            with whole_file(file) as out:
                np.savez(out, *arrays, allow_pickle=False)
        return answer

    def _read(self, file: Path) -> Any:
        arrays = read_arrays(file)
        parts = [arrays[f"arr_{k}"] for k in range(len(arrays))]
        if parts[0].ndim == 0:
            return float(parts[0])
        answer = tuple(self._backend.asarray(part) for part in parts)
        return answer if len(answer) > 1 else answer[0]

    # ------------------------------------------------------------------ what is asked
    def _question(self, operation: str, C: Any, arguments: tuple[Any, ...]) -> str:
        """A digest of the operation and of all that its answer depends on."""
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
        where = getattr(array, "__array_interface__", None)
        key = id(array) if where is None else (where["data"], where["strides"], array.shape)
        if key not in self._digests:
            self._digests[key] = array, self._content(array)  # held, so that the key stays its own
            if len(self._digests) > COSTS:
                self._digests.popitem(last=False)
        return self._digests[key][1]

    def _content(self, array: Array) -> bytes:
        on_host = self._backend.to_numpy(array)
        digest = _digest(f"{on_host.dtype.str} {on_host.shape}")
        digest.update(np.ascontiguousarray(on_host).data)
        return digest.digest()


def _digest(text: str) -> blake2b:
    """A digest that begins with this text."""
    from hashlib import blake2b  # here, because `import refot` would take 3 ms longer

    return blake2b(text.encode(), digest_size=20)
