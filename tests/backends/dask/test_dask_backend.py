"""The Dask backend on worker processes of this machine: parity, and the same bits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from dask_processes import problem
from distributed import Client

import refot
from refot.backend_contract import (
    BackendUnavailableError,
    get_backend,
    prepared,
    whereabouts,
)
from refot.backends.dask import dask_backend, tiles
from refot.backends.dask.cluster import Cluster
from refot.backends.numba.groups.choose import grouping
from refot.backends.numba.groups.ordered import LARGEST_GROUP
from refot.solvers.scales.coarser import LARGE
from refot.verification.parity import compared, fixed_problems
from refot.verification.runs.asked import Selection
from refot.verification.runs.levels import COUNTED
from refot.verification.runs.selection import run_selection
from refot.verification.subjects.loading import as_subject


# ------------------------------------------------------------------ the operations
def assert_parity(client: Client, inner: str, dtype: Any, every: int) -> None:
    """Every operation on one problem of the kit in `every`."""
    problems, backend = list(fixed_problems(dtype))[::every], dask_backend(client, inner)
    results = [result for each in problems for result in compared(backend, each)]
    assert {result.operation for result in results} >= {"softmin", "plan_apply", "plan_cost"}
    assert not [result for result in results if not result.passed]


@pytest.mark.parametrize(("dtype", "every"), [(np.float64, 13), (np.float32, 31)])
@pytest.mark.usefixtures("small_tiles")
def test_each_operation_is_that_of_numpy(client: Client, dtype: Any, every: int) -> None:
    assert_parity(client, "numpy", dtype, every)


@pytest.mark.slow  # 64 problems, some 2,000 operations
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("inner", ["numpy", "numba"])
@pytest.mark.usefixtures("small_tiles")
def test_the_whole_kit(client: Client, inner: str, dtype: Any) -> None:
    assert_parity(client, inner, dtype, 1)


@pytest.mark.parametrize(("selection", "number"), [
    (Selection("value.certified"), 10),
    pytest.param(Selection(), 1_000, marks=pytest.mark.slow)])  # all that it asks
def test_what_the_verifier_asks_is_answered_right(
    client: Client, monkeypatch: pytest.MonkeyPatch, selection: Selection, number: int
) -> None:
    """`refot verify dask`, but with several tiles for its small problems."""
    monkeypatch.setattr(tiles, "ROWS", 2)
    found = run_selection(as_subject(dask_backend(client, "numpy"), "dask"), selection)
    assert found.count("passed") > number
    assert not found.at(*COUNTED)


@pytest.mark.usefixtures("small_tiles")
def test_entries_come_back_by_rows_of_the_caller(client: Client) -> None:
    C, a, b = problem()
    backend = dask_backend(client, inner="numpy")
    F, G = 0.05 * np.log(a), 0.05 * np.log(b)
    values, columns, starts = backend.plan_entries(C, F, G, 0.05, 1e-9, 10**6)
    P = np.exp((F[:, None] + G - C.dense()) / 0.05)
    expected = np.where(P > 1e-9, P, 0)
    found = np.zeros_like(P)
    for i, (first, last) in enumerate(pairwise(starts)):
        found[i, columns[first:last]] = values[first:last]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert backend.plan_entries(C, F, G, 0.05, 1e-9, len(values) - 1) is None


def test_points_that_were_written_to_are_other_points(client: Client) -> None:
    backend = dask_backend(client, inner="numpy")
    x = np.random.default_rng(1).random((20, 2))
    C = refot.point_cost(x, x[::-1].copy())
    before = backend.softmin(C, np.zeros(20), 0.1)
    C.x[:] += 1.0
    after = backend.softmin(C, np.zeros(20), 0.1)
    np.testing.assert_allclose(after, get_backend("numpy").softmin(C, np.zeros(20), 0.1))
    assert abs(after - before).max() > 0.1


# ------------------------------------------------------------------ the same bits
@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("inner", ["numpy", "numba"])
def test_any_number_of_workers_gives_the_same_bits(
    client: Client, four_threads: Client, inner: str
) -> None:
    C, a, b = problem()
    given: dict[str, Any] = {"eps": 0.5, "method": "sinkhorn", "tol": 1e-6, "certified": True}
    two = refot.solve(C, a, b, **given, backend=dask_backend(client, inner))
    alone = refot.solve(C, a, b, **given, backend=dask_backend(client, inner, workers=1))
    assert two.converged
    assert alone.gap == two.gap
    np.testing.assert_array_equal(alone.f, two.f)
    np.testing.assert_array_equal(alone.g, two.g)
    four = refot.solve(C, a, b, **given, backend=dask_backend(four_threads, inner))
    np.testing.assert_array_equal(four.f, two.f)
    here = refot.solve(C, a, b, **given, backend=inner)
    np.testing.assert_allclose(two.f, here.f, rtol=0, atol=1e-12)  # both after as many sweeps


def test_by_groups_the_bits_are_those_of_the_inner_backend_alone(client: Client) -> None:
    """Where it treats points by groups: those of a tile are those of the whole."""
    n, m, eps = 2 * LARGEST_GROUP + 700, 3_000, 0.5
    rng = np.random.default_rng(0)
    C, a, b = refot.point_cost(rng.random((n, 2)), rng.random((m, 2))), np.ones(n), np.ones(m)
    backend, numba = dask_backend(client, "numba"), get_backend("numba")
    on_cluster, here = prepared(backend, C, a, b), prepared(numba, C, a, b)
    assert grouping(here, eps) is not None
    G, V = rng.random(m), rng.random((m, 2))
    F = numba.softmin(here, G, eps)
    np.testing.assert_array_equal(backend.softmin(on_cluster, G, eps), F)
    np.testing.assert_array_equal(backend.plan_apply(on_cluster, F, G, eps, V),
                                  numba.plan_apply(here, F, G, eps, V))
    np.testing.assert_array_equal(backend.softmin(on_cluster.T, F, eps),
                                  numba.softmin(here.T, F, eps))


def test_a_coarser_problem_starts_and_corrects_the_solve(client: Client) -> None:
    """Large clouds are solved by grids of boxes: the coarse ones here, the points on workers."""
    rng = np.random.default_rng(0)
    C = refot.point_cost(rng.random((LARGE, 2)), rng.random((LARGE, 2)) ** 2)
    given: dict[str, Any] = {"eps": 0.1, "gap": 1e-4, "certified": True}
    found = refot.solve(C, **given, backend=dask_backend(client, "numba"))
    here = refot.solve(C, **given, backend="numba")
    assert found.gap is not None
    assert found.gap.relative <= 1e-4
    assert found.iterations == here.iterations
    np.testing.assert_array_equal(found.f, here.f)


def test_points_may_be_dask_arrays(client: Client) -> None:
    import dask.array as da

    C, a, b = problem(40, 30)
    x, y = (da.from_array(points, chunks=(16, 3)) for points in (C.x, C.y))
    with client.as_current():
        found = refot.solve(refot.point_cost(x, y), da.from_array(a, chunks=16), b, 0.5, tol=1e-4,
                            backend=dask_backend(client, "numpy"))
    np.testing.assert_array_equal(
        found.f, refot.solve(C, a, b, 0.5, tol=1e-4, backend=dask_backend(client, "numpy")).f)


def test_it_says_where_it_computes(client: Client) -> None:
    assert whereabouts(get_backend("numpy")) == ""
    told = whereabouts(dask_backend(client, "numpy"))
    assert f"2 workers of {client.scheduler.address}, numpy on each" in told
    assert client.dashboard_link in told


def test_it_says_once_that_one_machine_is_faster(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    backend = dask_backend(client, "numpy")
    for n in (30, 40):
        prepared(backend, *problem(n, n))
    told = [record.getMessage() for record in caplog.records if record.name.startswith("refot")]
    assert told == ["refot: 30 x 30 points on a cluster; one machine is faster below 100000"]


# ------------------------------------------------------------------ shares
def test_tiles_are_shared_out_by_what_they_take() -> None:
    assert tiles.shared_out(dict.fromkeys(range(6), 1.0), 3) == [[0, 1], [2, 3], [4, 5]]
    assert tiles.shared_out({0: 9.0, 1: 1.0, 2: 1.0, 3: 1.0}, 2) == [[0], [1, 2, 3]]
    assert tiles.shared_out({4: 1.0}, 3) == [[], [4], []]


def test_tiles_know_only_the_number_of_rows() -> None:
    assert tiles.tile_starts(10) == [0, 10]
    assert tiles.tile_starts(20_000) == [0, 5_000, 10_000, 15_000, 20_000]
    assert tiles.tile_starts(20_000, 8_192) == [0, 8_192, 16_384, 20_000]
    for n in (3_000_000, 10_000_000):
        for unit in (1, 8_192):
            starts = tiles.tile_starts(n, unit)
            assert (starts[0], starts[-1]) == (0, n)
            assert tiles.MOST / 2 <= len(starts) - 1 <= 2 * tiles.MOST
            assert not any(start % unit for start in starts[:-1])


# ------------------------------------------------------------------ what is missing
def test_without_a_cluster_the_error_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(BackendUnavailableError, match="from distributed import Client"):
        get_backend("dask")


def test_an_error_of_the_inner_backend_is_raised_here(client: Client) -> None:
    C, a, _ = problem(20, 20)
    with pytest.raises(ValueError, match=r"shape|broadcast"):
        dask_backend(client, "numpy").softmin(C, np.zeros(3), 0.1)
    assert isinstance(dask_backend(client).cluster, Cluster)
    assert len(a) == 20
