"""Every exception of refot, and whether it crosses from a worker to its parent.

`python errors_of_refot.py fork` sends them through a pool and an executor whose processes are
started in that way. It is a program of its own: a process in which JAX runs must not fork.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import multiprocessing
import pkgutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import refot
from refot.arrays import WeightError
from refot.systems.training.loop import DivergedError
from refot.verification.pytest_refot.plugin import CheckFailedError, RefotError
from refot.verification.runs.run import CheckResult

MODULES = [importlib.import_module(name) for _, name, _ in
           pkgutil.walk_packages(refot.__path__, "refot.") if not name.endswith("__main__")]
CLASSES = sorted({found for module in MODULES for found in vars(module).values()
                  if inspect.isclass(found) and found.__module__ == module.__name__},
                 key=lambda found: f"{found.__module__}.{found.__qualname__}")
ERRORS = [found for found in CLASSES if issubclass(found, BaseException)]
RECORDS = [found for found in CLASSES
           if dataclasses.is_dataclass(found) and "__reduce__" not in vars(found)]

RESULT = CheckResult("value.certified", "a part", "value", "a case", "failed", message="off by 1")


def error_of(kind: type[BaseException]) -> BaseException:
    """An exception of that class, as refot raises it."""
    if issubclass(kind, refot.InputError):
        return kind("a", "sum 3.0", "sum 1 within 1e-10")
    if kind is DivergedError:
        return kind(7, "G.weights", Path("run/checkpoint-5.npz"))  # type: ignore[call-arg]
    if kind in (CheckFailedError, RefotError):
        return kind(RESULT)
    return kind("one sentence that says what is wrong")


# ------------------------------------------------------------------ across processes
def value_or_error(k: int) -> float:
    """Problem 0 of the batch is not normalised."""
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


def every_error_crosses_a_pool_of_an_executor(method: str) -> None:
    raised = [error_of(kind) for kind in ERRORS if issubclass(kind, Exception)]
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        waiting = [executor.submit(raise_it, error) for error in raised]
        for error, future in zip(raised, waiting, strict=True):
            again = future.exception(timeout=120)
            assert type(again) is type(error)
            assert str(again) == str(error)


if __name__ == "__main__":
    one_bad_input_of_a_pool_raises_in_the_parent(sys.argv[1])
    every_error_crosses_a_pool_of_an_executor(sys.argv[1])
