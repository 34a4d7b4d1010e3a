"""Points in a folder of parts: in order, checked, and written as they came."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import InputError
from refot.datasets.parts import (
    PartedPoints,
    points_in_parts,
    problem_in_parts,
    vector_in_parts,
    write_parts,
)
from refot.datasets.problem_file import FileError

POINTS = np.random.default_rng(0).random((23, 2))


def folder(path: Path, *parts: Any) -> Path:
    """A folder with the parts 0.npy, 1.npy, ..."""
    path.mkdir()
    for number, part in enumerate(parts):
        np.save(path / f"{number}.npy", part)
    return path


def in_twelve(path: Path) -> Path:
    """POINTS in the parts 0.npy to 11.npy, of two rows, the last of one."""
    return folder(path, *(POINTS[start:start + 2] for start in range(0, 23, 2)))


def test_any_range_of_rows_is_read(tmp_path: Path) -> None:
    """Part 10 comes after part 9, not after part 1."""
    found = points_in_parts(in_twelve(tmp_path / "x"))
    assert found.shape == (23, 2)
    for start in range(23):
        for stop in range(start, 24):
            np.testing.assert_array_equal(found[start:stop], POINTS[start:stop])
    np.testing.assert_array_equal(np.asarray(found), POINTS)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(found))[3:9], POINTS[3:9])
    np.testing.assert_array_equal(found.corners, [POINTS.min(axis=0), POINTS.max(axis=0)])
    for use in (lambda: found[[1, 2]], lambda: found.copy()):
        with pytest.raises(InputError, match=r"points: in parts.*numpy\.asarray\(points\)"):
            use()
    assert not hasattr(found, "toarray")


def test_an_npz_file_is_a_part_too(tmp_path: Path) -> None:
    where = folder(tmp_path / "x", POINTS[:20])
    np.savez_compressed(where / "1.npz", points=POINTS[20:].astype(np.float32))
    found = points_in_parts(where)
    np.testing.assert_array_equal(found[18:21], np.vstack(
        [POINTS[18:20], POINTS[20:21].astype(np.float32)]))
    np.savez(where / "2.npz", x=POINTS, y=POINTS)
    with pytest.raises(FileError, match=r"2\.npz: 2 arrays \(x, y\); one is a part"):
        points_in_parts(where)


def test_a_parquet_file_is_a_part_too(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    where = folder(tmp_path / "x", POINTS[:20])
    polars.DataFrame(POINTS[20:], schema=["p", "q"]).write_parquet(where / "1.parquet")
    np.testing.assert_array_equal(np.asarray(points_in_parts(where)), POINTS)


@pytest.mark.parametrize(("last", "message"), [
    (POINTS[:, :1], r"1\.npy: points of dimension 1; allowed: dimension 2, that of 0\.npy"),
    (np.full((3, 2), np.nan), r"1\.npy: nan at \[0, 0\]; allowed: finite"),
    (POINTS[:0], r"1\.npy: shape \(0, 2\)"),
    (POINTS[:, 0], r"1\.npy: shape \(23,\); allowed: 2 dimensions"),
    (np.array([["a", "b"]]), r"1\.npy: dtype"),
])
def test_a_part_that_does_not_fit_is_named(tmp_path: Path, last: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        points_in_parts(folder(tmp_path / "x", POINTS, last))


def test_what_is_no_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere: no such folder"):
        points_in_parts(tmp_path / "nowhere")
    with pytest.raises(FileError, match="no part in it"):
        points_in_parts(folder(tmp_path / "x"))
    (tmp_path / "x" / "0.npy").write_bytes(b"no array")
    with pytest.raises(FileError, match=r"0\.npy"):
        points_in_parts(tmp_path / "x")
    (tmp_path / "x" / "0.csv").touch()
    with pytest.raises(FileError, match=r"0\.csv: a part is one of"):
        points_in_parts(tmp_path / "x")
    np.save(tmp_path / "x" / "0.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "x" / "0.csv").unlink()
    with pytest.raises(FileError, match=r"0\.npy: .*Python objects"):
        points_in_parts(tmp_path / "x")


def test_a_part_that_has_changed_is_not_read(tmp_path: Path) -> None:
    found = points_in_parts(in_twelve(tmp_path / "x"))
    np.save(tmp_path / "x" / "3.npy", POINTS)
    with pytest.raises(FileError, match=r"3\.npy: changed"):
        found[6:7]


def test_other_backends_read_all_points(tmp_path: Path) -> None:
    x, y = points_in_parts(in_twelve(tmp_path / "x")), POINTS[:7] ** 2
    found = refot.solve(refot.point_cost(x, y), eps=0.1, backend="numpy")
    assert found.converged
    here = refot.solve(refot.point_cost(POINTS, y), eps=0.1, backend="numpy")
    np.testing.assert_array_equal(found.f, here.f)


def test_a_cost_that_needs_all_points_is_refused(tmp_path: Path) -> None:
    x = points_in_parts(in_twelve(tmp_path / "x"))
    with pytest.raises(InputError, match="cost: 'dot' with points in parts"):
        refot.point_cost(x, x, "dot")
    with pytest.raises(InputError, match="y: dimension 3"):
        refot.point_cost(x, np.zeros((4, 3)))


def test_a_problem_and_its_solution_are_folders(tmp_path: Path) -> None:
    weights = np.full(23, 1 / 23)
    in_twelve(tmp_path / "x")
    folder(tmp_path / "y", POINTS[:9], POINTS[9:])
    folder(tmp_path / "a", weights[:5], weights[5:, None])
    found = problem_in_parts(tmp_path)
    assert set(found) == {"x", "y", "a"}
    np.testing.assert_array_equal(found["a"], weights)
    assert isinstance(found["y"], PartedPoints)
    write_parts(np.arange(23.0), found["y"], tmp_path / "solution" / "g")
    np.testing.assert_array_equal(np.load(tmp_path / "solution" / "g" / "1.npy"),
                                  np.arange(9.0, 23.0))
    np.testing.assert_array_equal(vector_in_parts(tmp_path / "solution" / "g"), np.arange(23.0))
