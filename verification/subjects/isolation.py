"""What a subject does to the interpreter stays with the subject.

`np.seterr`, warning filters, the folder, prints, torch's switch of gradients: all as before once a
call returns. The seeds of NumPy and Python's `random` are as before once a run is over, and not
after each call, so that an answer that draws from them without a seed is seen to differ.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from types import FrameType

import numpy as np

from .text import one_line, text_of

KEPT = 4_000
"""How many characters of what one call prints are kept."""

class CappedText(io.StringIO):
    """A stream that keeps the first KEPT characters written to it."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, KEPT - self.tell())])
        return len(text)

    def close(self) -> None:
        """Nothing: a subject that closes its output has not said less for that."""


@dataclass
class Said:
    """What a call gave on the side: its warnings, and what it printed."""

    warnings: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)


@contextmanager
def isolated() -> Iterator[Said]:
    """Run a subject's code: its settings are undone on leaving, what it says is in what is given.

    Ctrl-C that the subject swallowed is raised again on leaving.
    """
    said, text, folder = Said(), CappedText(), os.getcwd()
    torch = sys.modules.get("torch")
    gradients = torch is not None and torch.is_grad_enabled()
    try:
        with ExitStack() as stack:
            # what NumPy warns of unless it is told otherwise, as in the subject's own programs
            stack.enter_context(np.errstate(divide="warn", over="warn", invalid="warn",
                                            under="ignore"))
            caught = stack.enter_context(warnings.catch_warnings(record=True))
            stack.enter_context(redirect_stdout(text))
            warnings.simplefilter("always")
            try:
                yield said
            finally:
                said.warnings += [one_line(text_of(warning.message)) for warning in caught]
                said.printed += [one_line(line) for line in text.getvalue().splitlines()]
    finally:
        os.chdir(folder)
        if torch is not None:  # GeomLoss, for one, leaves them off where it raises
            torch.set_grad_enabled(gradients)
        if _interrupted.is_set():
            raise KeyboardInterrupt


# ------------------------------------------------------------------ a whole run
_interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first Ctrl-C is an exception; the second ends the process, whoever swallowed the first.
    """
    if _interrupted.is_set():
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(130)
    _interrupted.set()
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """A run: afterwards the seeds are as before. During it a subject may swallow Ctrl-C once, and
    not for longer than its call; a second one ends the process with status 130."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002 - the subject's, not ours
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, _interrupt) if main else None
    try:
        yield
    finally:
        _interrupted.clear()
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])
        if main:
            signal.signal(signal.SIGINT, before)
