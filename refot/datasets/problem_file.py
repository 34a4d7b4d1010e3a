"""A problem in a file: what `refot solve` and `refot certify` read.

An .npz file holds `eps`, the weights `a` (n,) and `b` (m,), and either the cost `C` (n, m) or the
points `x` (n, d) and `y` (m, d), then optionally `cost`, a name of `point_cost` ("sqeuclidean" by
default). It may hold `g` (m,), a column potential to start from. If it holds `rho`, the problem is
unbalanced, and a and b are masses of any total. `rho` is a number or a pair (rows, columns), inf
for an exact marginal; `penalty` may be "kl" (default) or "tv".

A folder holds points too large for one file: the folders `x` and `y` with parts of the points, and
`a` and `b` with parts of the weights (`parts`).

A .csv or .parquet file holds one table of numbers. One such file is the cost matrix, a row in each
line; two are the points of the two measures. Pickled data is never loaded, nor a file that unpacks
to more than 1 GiB.
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import numpy as np

from refot.arrays import Array, InputError, as_floating
from refot.backend_contract import BackendLike
from refot.costs.operands import Cost, as_cost, point_cost
from refot.costs.rows import Rows
from refot.files import UnreadableError, read_arrays, read_plain
from refot.problem import Problem, problem
from refot.unbalanced_problem import unbalanced_problem

LARGEST = 1 << 30
"""Bytes: the most that all arrays of a file may have together. A cost of 11,000 x 11,000 fits."""

TABLES = (".csv", ".parquet")
"""The endings of files that hold one table of numbers."""


class FileError(ValueError):
    """The file cannot be read, or does not hold a problem; the message says what is missing."""


def read_problem_arrays(path: Path) -> dict[str, Array]:
    """Every array of an .npz file by name; of a .csv or .parquet file its numbers, named `C`.
    Raises FileError."""
    if path.suffix in TABLES:
        return {"C": read_table(path)}
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    try:
        return read_arrays(path, LARGEST)
    except UnreadableError as error:
        raise FileError(f"{path}: not an .npz file of plain arrays ({error})") from error


def problem_of(arrays: dict[str, Array], path: Path, backend: BackendLike = None) -> Problem:
    """The problem that the arrays hold, checked, in float64. `path` is named in errors. Raises
    FileError, InputError."""
    missing = [name for name in ("a", "b", "eps") if name not in arrays]
    if missing:
        raise FileError(f"{path}: lacks {', '.join(missing)}; there is {', '.join(arrays) or '-'}")
    given = _cost(arrays, path), arrays["a"], arrays["b"], arrays["eps"]
    if "rho" in arrays:
        return unbalanced_problem(*given, arrays["rho"], _text(arrays, "penalty", "kl"), backend)
    if "penalty" in arrays:
        raise FileError(f"{path}: holds a penalty, but lacks rho")
    return problem(*given, backend)


def _text(arrays: dict[str, Array], name: str, default: str) -> str:
    """The text that the file holds under this name, else the default. Raises InputError."""
    text = arrays.get(name, np.array(default))
    if text.dtype.kind != "U" or text.ndim != 0:
        raise InputError(name, f"an array of {text.dtype}", f"text, such as {default!r}")
    return str(text)


def _cost(arrays: dict[str, Array], path: Path) -> Cost:
    if "C" in arrays:
        return as_cost(as_floating(arrays["C"], "C", 2).astype(np.float64))
    if "x" not in arrays or "y" not in arrays:
        raise FileError(f"{path}: lacks C, or x and y")
    x, y = (points if isinstance(points, Rows) else as_floating(points, key, 2).astype(np.float64)
            for key, points in (("x", arrays["x"]), ("y", arrays["y"])))
    return point_cost(x, y, _text(arrays, "cost", "sqeuclidean"))


# ------------------------------------------------------------------ tables
def read_table(path: Path) -> Array:
    """The numbers of a .csv or .parquet file, (rows, columns), float64. A first line that is not
    numbers is taken as names and left out. Raises FileError."""
    try:
        return _csv(read_plain(path, LARGEST)) if path.suffix == ".csv" else _parquet(path)
    except UnreadableError as error:
        raise FileError(f"{path}: {error}") from None
    except (ValueError, OSError) as error:
        raise FileError(f"{path}: not a table of numbers ({error})") from error


def _csv(text: bytes) -> Array:
    lines = text.decode("utf-8-sig").splitlines()
    names = bool(lines) and not all(map(_is_number, lines[0].split(",")))
    rows = [line for line in lines[names:] if line.strip()]
    if not rows:
        raise UnreadableError("no row of numbers")
    return np.loadtxt(io.StringIO("\n".join(rows)), delimiter=",", ndmin=2)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parquet(path: Path) -> Array:
    """The table of a .parquet file, read by Polars or by PyArrow, whichever is installed. They are
    imported only if there is such a file."""
    if not path.is_file():
        raise UnreadableError("no such file")
    for read in (_by_polars, _by_pyarrow):
        with suppress(ImportError):
            return read(path)
    raise UnreadableError("a .parquet file needs polars or pyarrow: pip install polars")


def _by_polars(path: Path) -> Array:
    import polars as pl

    try:
        table = pl.scan_parquet(path)
        _require_room(table.select(pl.len()).collect().item(), len(table.collect_schema()))
        return np.asarray(table.collect().to_numpy(), dtype=np.float64)
    except pl.exceptions.PolarsError as error:
        raise UnreadableError(f"not a table of numbers ({error})") from None


def _by_pyarrow(path: Path) -> Array:
    from pyarrow import parquet

    about = parquet.read_metadata(path)
    _require_room(about.num_rows, about.num_columns)
    columns = parquet.read_table(path).columns
    return np.stack([np.asarray(column.to_numpy(), dtype=np.float64) for column in columns], axis=1)


def _require_room(rows: int, columns: int) -> None:
    """Raise UnreadableError for a table of more than LARGEST bytes."""
    if 8 * rows * columns > LARGEST:
        raise UnreadableError(f"{rows} x {columns} numbers, more than {LARGEST:,} bytes")
