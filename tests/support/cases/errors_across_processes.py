"""Every exception of refot reaches the parent process of a worker, however the worker was started.

`python errors_across_processes.py` sends them through a pool and an executor. It is a program of
its own, because a process in which JAX runs must not fork. A spawned worker imports this file
again. So the list of all exceptions, which takes the import of all of refot, is made in the main
block, which only the parent runs.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import refot
from refot.arrays import WeightError


def value_or_error(k: int) -> float:
    """The value of a small problem. That of k = 0 raises WeightError: its weights sum to 3."""
    a = np.full(3, 1 / 3) if k else np.ones(3)
    return refot.entropic_value(1 - np.eye(3), a, np.full(3, 1 / 3), 0.1)


def raise_it(error: BaseException) -> None:
    raise error


def one_bad_input_of_a_pool_raises_in_the_parent(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        waiting = pool.map_async(value_or_error, range(4), chunksize=1)
        with pytest.raises(WeightError) as caught:
            waiting.get(timeout=120)  # without an end it would wait for ever
        assert (caught.value.name, caught.value.found) == ("a", "sum 3.0, off by 2")
        assert len(pool.map_async(value_or_error, [1, 2]).get(timeout=120)) == 2


def every_error_crosses_an_executor(method: str, raised: Sequence[BaseException]) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        waiting = [executor.submit(raise_it, error) for error in raised]
        for error, future in zip(raised, waiting, strict=True):
            again = future.exception(timeout=120)
            assert type(again) is type(error)
            assert str(again) == str(error)


if __name__ == "__main__":
    from errors_of_refot import ERRORS, error_of

    errors = [error_of(kind) for kind in ERRORS if issubclass(kind, Exception)]
    for start in multiprocessing.get_all_start_methods():
        one_bad_input_of_a_pool_raises_in_the_parent(start)
        every_error_crosses_an_executor(start, errors)
    print(f"{len(errors)} errors")
