"""Undo what a subject's code does to the interpreter.

After each call these are as before: NumPy's error settings, the warning filters, the working
folder, the standard output, and whether torch records gradients. The random states of NumPy and of
Python's `random` are restored only after a whole run. Were they restored after each call, an answer
that is drawn at random without a seed would look repeatable.
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
        """Does nothing. A subject may close its standard output, and what it printed before can
        then still be read."""


@dataclass
class Said:
    """The warnings that a call gave, and the lines that it printed."""

    warnings: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)


@contextmanager
def isolated() -> Iterator[Said]:
    """Run a subject's code in this block. At its end, the settings that the code changed are
    undone.

    What the block warned and printed is then in the `Said` that it was given. A Ctrl-C that the
    subject swallowed is raised again.
    """
    said, text, folder = Said(), CappedText(), os.getcwd()
    torch = sys.modules.get("torch")
    gradients = torch is not None and torch.is_grad_enabled()
    try:
        with ExitStack() as stack:
            # NumPy's defaults, so that a subject warns here as it does in its users' programs
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
        if torch is not None:  # GeomLoss leaves gradients switched off when it raises an error
            torch.set_grad_enabled(gradients)
        if _interrupted.is_set():
            raise KeyboardInterrupt


# ------------------------------------------------------------------ a whole run
_interrupted = threading.Event()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Handle Ctrl-C: the first raises KeyboardInterrupt, the second ends the process.

    So a subject that swallows the first cannot keep the user from stopping the run.
    """
    if _interrupted.is_set():
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(130)
    _interrupted.set()
    raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block for a whole run, after which the random states are as before.

    During it a subject that swallows Ctrl-C delays it only until its call returns, and a second
    Ctrl-C ends the process with status 130.
    """
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
