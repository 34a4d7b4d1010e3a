"""One cluster for all tests that do no harm to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from distributed import Client, LocalCluster

from refot.backends.dask import tiles


@pytest.fixture(scope="package")
def client() -> Iterator[Client]:
    """Two worker processes, of one thread each. Its threads end with the tests of this folder."""
    with (LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
          Client(cluster, set_as_default=False) as client):
        yield client


@pytest.fixture(scope="package")
def four_threads() -> Iterator[Client]:
    """Four workers that are threads of this process."""
    with Client(processes=False, n_workers=4, threads_per_worker=1, dashboard_address=":0",
                set_as_default=False) as client:
        yield client


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several tiles for a small problem; cut here, and on no worker."""
    monkeypatch.setattr(tiles, "ROWS", 64)
