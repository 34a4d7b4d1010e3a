"""Environment variables for processes that are started, and those that limit their threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                    "NUMBA_NUM_THREADS")


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Within the block these environment variables hold, for the processes that it starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def share_of_threads(processes: int) -> dict[str, str]:
    """The variables that give each of so many processes its share of the cores.

    Threads of linear algebra that wait for each other on one core keep it busy and do nothing.
    Those of Numba do not, and code that asks for more than its variable says gets an error. What
    the user has set stays.
    """
    if processes == 1:
        return {}
    share = max(1, (os.cpu_count() or 1) // processes)
    return {name: str(share) for name in THREAD_VARIABLES
            if name != "NUMBA_NUM_THREADS" and name not in os.environ}
