"""Points in a folder of files, its parts, which need not fit the memory of a process together.

A part is an .npy file, an .npz file with one array, or a .parquet file, and holds rows of points
(k, d), or k weights. The parts of a folder are read in the order of the numbers in their names:
2.npy before 10.npy, as `dask.array.to_npy_stack` writes them. Pickled data is never loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array, InputError, as_points, as_vector
from refot.costs.rows import Rows, blocks_of
from refot.files import UnreadableError, read_arrays, whole_file

from .problem_file import LARGEST, FileError, read_table

UNPACKED = 2
"""Parts of an .npz or .parquet file that a process keeps unpacked, because they are read whole."""


# ------------------------------------------------------------------ one part
@dataclass(frozen=True)
class Part:
    """A file of some rows. Its size and date tell whether it is still the same."""

    path: Path
    size: int
    date: int

    def array(self) -> Array:
        """What the file holds, as it is; an .npy file is not read but mapped. Raises FileError."""
        if Part.of(self.path) != self:
            raise FileError(f"{self.path}: changed since the folder was opened")
        try:
            return READERS[self.path.suffix](self)
        except (UnreadableError, OSError, ValueError) as error:
            raise FileError(f"{self.path}: {error}") from error

    @staticmethod
    def of(path: Path) -> Part:
        """The part in this file. Raises FileError."""
        try:
            found = path.stat()
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}; every worker must see this file") from error
        return Part(path, found.st_size, found.st_mtime_ns)


def _mapped(part: Part) -> Array:
    return np.load(part.path, mmap_mode="r", allow_pickle=False)


@lru_cache(UNPACKED)
def _unpacked(part: Part) -> Array:
    arrays = read_arrays(part.path, LARGEST)
    if len(arrays) != 1:
        raise UnreadableError(f"{len(arrays)} arrays ({', '.join(arrays) or '-'}); one is a part")
    return next(iter(arrays.values()))


@lru_cache(UNPACKED)
def _table(part: Part) -> Array:
    return read_table(part.path)


READERS: dict[str, Callable[[Part], Array]] = {
    ".npy": _mapped, ".npz": _unpacked, ".parquet": _table}
"""How a part is read, by the ending of its file."""


# ------------------------------------------------------------------ all parts
@dataclass(frozen=True, eq=False)
class PartedPoints(Rows):
    """The points of all parts, one after the other."""

    parts: tuple[Part, ...]

    starts: tuple[int, ...]
    """The row at which each part starts, and the number of rows."""

    box: Array
    """The `corners`."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.starts[-1], self.box.shape[1]

    @property
    def corners(self) -> Array:
        return self.box

    @property
    def identity(self) -> str:
        return repr(self.parts)

    def read(self, start: int, stop: int) -> Array:
        """The points `start` to `stop` - 1, from the parts in which they are."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        found = np.empty((stop - start, self.shape[1]))
        for part, begin, end in zip(self.parts[first:], self.starts[first:],
                                    self.starts[first + 1:], strict=False):
            if begin >= stop:
                break
            rows = slice(max(start, begin), min(stop, end))
            found[rows.start - start:rows.stop - start] = (
                part.array()[rows.start - begin:rows.stop - begin])
        return found


def points_in_parts(folder: str | PathLike[str]) -> PartedPoints:
    """The points (n, d) in the files of a folder, in float64. They are read once here, one part
    after the other, to check them. Raises FileError for a folder without parts and for a file that
    is none; InputError for parts of different d, and points that are not finite.

        x, y = points_in_parts("x"), points_in_parts("y")
        refot.solve(refot.point_cost(x, y), None, None, eps, backend="dask")
    """
    parts, starts, corners = _parts(folder), [0], []
    for part in parts:
        points = part.array()
        try:
            for _, block in blocks_of(points):
                block = as_points(block)
                corners += [block.min(axis=0), block.max(axis=0)]
            as_points(points[:1])  # a part without rows has no block
        except InputError as error:
            raise InputError(str(part.path), error.found, error.allowed) from None
        if len(corners[-1]) != len(corners[0]):
            raise InputError(str(part.path), f"points of dimension {len(corners[-1])}",
                             f"dimension {len(corners[0])}, that of {parts[0].path.name}")
        starts.append(starts[-1] + len(points))
    box = np.array([np.min(corners, axis=0), np.max(corners, axis=0)], dtype=np.float64)
    return PartedPoints(tuple(parts), tuple(starts), box)


def vector_in_parts(folder: str | PathLike[str]) -> Array:
    """The numbers (n,) in the files of a folder, weights for example. Raises as
    `points_in_parts`."""
    found = []
    for part in _parts(folder):
        values = np.asarray(part.array())
        column = values.ravel() if 1 in values.shape else values
        try:
            found.append(as_vector(column, column.size, "part"))
        except InputError as error:
            raise InputError(str(part.path), error.found, error.allowed) from None
    return np.concatenate(found)


def problem_in_parts(folder: Path) -> dict[str, PartedPoints | Array]:
    """The points x and y of a problem, in the folders of these names in `folder`, and its weights a
    and b where there are such folders. Raises as `points_in_parts`."""
    found: dict[str, PartedPoints | Array] = {
        name: points_in_parts(folder / name) for name in ("x", "y")}
    return found | {name: vector_in_parts(folder / name) for name in ("a", "b")
                    if (folder / name).exists()}


def write_parts(values: Array, like: PartedPoints, folder: str | PathLike[str]) -> None:
    """Write one number for each point, a potential (n,), as .npy files into the folder: a file for
    each part of the points, of the same name."""
    into = Path(folder)
    into.mkdir(parents=True, exist_ok=True)
    for part, start, stop in zip(like.parts, like.starts, like.starts[1:], strict=False):
        with whole_file(into / f"{part.path.stem}.npy") as file:
            np.save(file, np.asarray(values[start:stop]), allow_pickle=False)


def _parts(folder: str | PathLike[str]) -> list[Part]:
    """The files of a folder, in order, without hidden ones and the `info` that Dask writes beside
    its .npy files. Raises FileError."""
    where = Path(folder)
    if not where.is_dir():
        raise FileError(f"{where}: no such folder")
    files = [file for file in where.iterdir()
             if not file.name.startswith((".", "_")) and file.name != "info"]
    for file in files:
        if file.suffix not in READERS:
            raise FileError(f"{file}: a part is one of {', '.join(READERS)}")
    if not files:
        raise FileError(f"{where}: no part in it, a file {', '.join(READERS)}")
    return [Part.of(file.absolute()) for file in sorted(files, key=_place)]


def _place(file: Path) -> list[Any]:
    """By what files are sorted: their names, with numbers compared as numbers."""
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", file.name)]
