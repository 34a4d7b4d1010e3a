"""Every exception class and every dataclass of refot, found in all its modules.

The front of a framework that is not installed is left out: it cannot be imported.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from importlib.util import find_spec
from pathlib import Path

import refot
from refot.costs.rows import NotInMemoryError
from refot.systems.training.loop import DivergedError
from refot.verification.pytest_refot.plugin import CheckFailedError, RefotError
from refot.verification.runs.run import CheckResult

ABSENT = {f"refot.{front}" for front in ("jax", "sklearn", "torch") if find_spec(front) is None}
MODULES = [importlib.import_module(name) for _, name, _ in
           pkgutil.walk_packages(refot.__path__, "refot.")
           if not name.endswith("__main__") and ".".join(name.split(".")[:2]) not in ABSENT]
CLASSES = sorted({found for module in MODULES for found in vars(module).values()
                  if inspect.isclass(found) and found.__module__ == module.__name__},
                 key=lambda found: f"{found.__module__}.{found.__qualname__}")
ERRORS = [found for found in CLASSES if issubclass(found, BaseException)]
RECORDS = [found for found in CLASSES
           if dataclasses.is_dataclass(found) and "__reduce__" not in vars(found)]

RESULT = CheckResult("value.certified", "a part", "value", "a case", "failed", message="off by 1")


def error_of(kind: type[BaseException]) -> BaseException:
    """An exception of this class, with arguments like those that refot passes to it."""
    if kind is NotInMemoryError:
        return kind()
    if issubclass(kind, refot.InputError):
        return kind("a", "sum 3.0", "sum 1 within 1e-10")
    if kind is DivergedError:
        return kind(7, "G.weights", Path("run/checkpoint-5.npz"))  # type: ignore[call-arg]
    if kind in (CheckFailedError, RefotError):
        return kind(RESULT)
    return kind("one sentence that says what is wrong")
