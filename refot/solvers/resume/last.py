"""A file with the last potentials of a solve that is interrupted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from refot.arrays import Array, InputError
from refot.files import whole_file
from refot.problem import Problem

EVERY = 60.0
"""Seconds between two writings of the potentials while the solve runs."""

Iterate: TypeAlias = tuple[Array, Array, float]
"""f (n,), g (m,), and the marginal error."""

Follow: TypeAlias = Callable[[Iterator[Iterate]], Iterator[Iterate]]
"""A function that passes iterates on unchanged, and takes note of each."""

R = TypeVar("R")
"""What a solve returns."""


class Last:
    """Follows the iterates of a solve of p, and writes the last one to a file: f (n,), g (m,), the
    marginal error and the number of the iteration. (In an eps schedule the error is inf, since
    these potentials belong to a larger eps.)"""

    def __init__(self, path: Path, p: Problem) -> None:
        if not path.absolute().parent.is_dir():
            raise InputError("path", f"{str(path)!r}", "a file in a folder that exists")
        self.path, self._on_host = path, p.backend.to_numpy
        self._reached: Iterate | None = None
        self._number, self._written = 0, time.monotonic()

    def follow(self, iterates: Iterator[Iterate]) -> Iterator[Iterate]:
        """The iterates as they come; the file is written every EVERY seconds."""
        for each in iterates:
            self._reached, self._number = each, self._number + 1
            if time.monotonic() > self._written + EVERY:
                self.write()
            yield each

    def write(self) -> str:
        """Write the file, and return a sentence that says so."""
        self._written = time.monotonic()
        if self._reached is None:
            return "no iteration was finished"
        f, g, error = self._reached
        contents: dict[str, Any] = {"f": self._on_host(f), "g": self._on_host(g), "error": error,
                                    "iteration": self._number}
        with whole_file(self.path) as file:
            np.savez(file, allow_pickle=False, **contents)
        return f"the potentials of iteration {self._number} are in {self.path}"

    def rescued(self, run: Callable[[], R]) -> R:
        """What `run` returns. Where it raises, or is interrupted, the potentials are written, and
        the error says so."""
        try:
            return run()
        except BaseException as error:
            error.add_note(self.write())
            raise


def rescued_in(path: Path, p: Problem, run: Callable[[Problem, Follow], R]) -> R:
    """run(p, follow), which solves p and hands its iterates through `follow`. While it runs, the
    file at `path` holds the last potentials; it is removed when `run` returns, and stays if the
    solve is interrupted."""
    last = Last(path, p)
    found = last.rescued(lambda: run(p, last.follow))
    path.unlink(missing_ok=True)
    return found
