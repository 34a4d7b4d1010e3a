"""Points in a folder of parts, which the workers read: the same bits as points in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from dask_processes import problem
from distributed import Client

import refot
from refot.arrays import InputError
from refot.backend_contract import get_backend
from refot.backends.dask import backend as dask_backend_module
from refot.backends.dask import dask_backend, tiles
from refot.backends.dask.joined import joined
from refot.costs.rows import Rows
from refot.datasets.parts import points_in_parts


@pytest.fixture
def small_blocks(small_tiles: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles, and several blocks of columns, for a small problem."""
    monkeypatch.setattr(tiles, "BLOCK", 5 * 70)


def in_parts(tmp_path: Path, d: int = 5) -> tuple[Any, Any, Any, Any]:
    """(C in memory, C in parts, a, b)."""
    C, a, b = problem(d=d)
    for name, points in (("x", C.x), ("y", C.y)):
        da.to_npy_stack(str(tmp_path / name), da.from_array(points, chunks=(37, d)))
    stored = refot.point_cost(*(points_in_parts(tmp_path / name) for name in "xy"))
    return C, stored, a, b


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("inner", ["numpy", "numba"])
def test_the_bits_are_those_of_points_in_memory(
    client: Client, four_threads: Client, tmp_path: Path, inner: str
) -> None:
    """For one worker, two and four; the workers read, and the points are in no message."""
    C, stored, a, b = in_parts(tmp_path)
    given: dict[str, Any] = {"eps": 0.5, "iterations": 4, "certified": True}
    here = refot.solve(C, a, b, **given, backend=dask_backend(client, inner))
    for cluster, workers in ((client, 1), (client, 2), (four_threads, 4)):
        backend = dask_backend(cluster, inner, workers=workers)
        found = refot.solve(stored, a, b, **given, backend=backend)
        assert isinstance(found.problem.C.x, Rows)
        assert found.gap == here.gap
        np.testing.assert_array_equal(found.f, here.f)
        np.testing.assert_array_equal(found.g, here.g)


@pytest.mark.usefixtures("small_blocks")
def test_every_operation_by_blocks_is_that_of_numpy(client: Client, tmp_path: Path) -> None:
    C, stored, a, b = in_parts(tmp_path)
    backend, numpy = dask_backend(client, "numpy"), get_backend("numpy")
    eps, rng = 0.2, np.random.default_rng(0)
    F, G, V = eps * np.log(a), eps * np.log(b), rng.random((len(b), 2))
    close: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-14}
    for one, other in zip(backend.marginals(stored, F, G, eps), numpy.marginals(C, F, G, eps),
                          strict=True):
        np.testing.assert_allclose(one, other, **close)
    np.testing.assert_allclose(backend.softmin(stored, G, eps), numpy.softmin(C, G, eps), **close)
    np.testing.assert_allclose(backend.plan_apply(stored, F, G, eps, V),
                               numpy.plan_apply(C, F, G, eps, V), **close)
    np.testing.assert_allclose(backend.plan_cost(stored, F, G, eps),
                               numpy.plan_cost(C, F, G, eps), **close)
    np.testing.assert_allclose(backend.plan_cost_gradient(stored, F, G, eps),
                               numpy.plan_cost_gradient(C, F, G, eps), **close)
    entries = backend.plan_entries(stored, F, G, eps, 1e-7, 10**6)
    dense = [np.zeros(C.shape), np.zeros(C.shape)]
    for P, (values, columns, starts) in zip(
            dense, (entries, numpy.plan_entries(C, F, G, eps, 1e-7, 10**6)), strict=True):
        P[np.repeat(np.arange(len(a)), np.diff(starts)), columns] = values
    np.testing.assert_allclose(*dense, **close)
    assert backend.plan_entries(stored, F, G, eps, 1e-7, len(entries[0]) - 1) is None
    K = np.empty(C.shape), np.empty(C.shape)
    backend.gibbs(stored, F, G, eps, 1e-300, K[0])
    numpy.gibbs(C, F, G, eps, 1e-300, K[1])
    np.testing.assert_array_equal(*K)


def test_a_softmin_of_blocks_without_mass_is_infinite() -> None:
    parts = [np.array([np.inf, 1.0]), np.array([np.inf, np.inf])]
    np.testing.assert_array_equal(joined("softmin", parts, 0.1, [0, 1, 2]), [np.inf, 1.0])


def test_points_in_space_are_read_whole(client: Client, tmp_path: Path) -> None:
    """So they are sorted, and solved by groups: FEW_AXES says why."""
    C, stored, a, b = in_parts(tmp_path, d=dask_backend_module.FEW_AXES)
    backend = dask_backend(client, "numpy")
    found = refot.solve(stored, a, b, 0.5, iterations=2, backend=backend)
    assert isinstance(found.problem.C.x, np.ndarray)
    np.testing.assert_array_equal(
        found.f, refot.solve(C, a, b, 0.5, iterations=2, backend=backend).f)


def test_weights_of_zero_and_what_needs_an_array_are_refused(
    client: Client, tmp_path: Path
) -> None:
    _, stored, a, b = in_parts(tmp_path)
    backend = dask_backend(client, "numpy")
    a[3] = 0
    with pytest.raises(InputError, match="a: weights of 0 with points in parts"):
        refot.solve(stored, a / a.sum(), b, 0.5, backend=backend)
    with pytest.raises(InputError, match="points: in parts"):
        refot.entropic_value_and_gradient(stored, eps=0.5, backend=backend)


def test_a_part_that_a_worker_does_not_see_is_named(client: Client, tmp_path: Path) -> None:
    _, stored, a, _ = in_parts(tmp_path)
    gone = tmp_path / "x" / "3.npy"
    gone.unlink()
    with pytest.raises(ValueError, match=r"3\.npy: No such file.*every worker must see"):
        dask_backend(client, "numpy").softmin(stored.T, np.zeros(len(a)), 0.1)
