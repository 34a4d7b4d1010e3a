"""Calls into a subject: made once, what it warns or prints kept, the answer checked.

Nothing a subject returns is trusted: the shape and type of an answer are part of what is verified.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Hashable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refot.arrays import Array

from .subjects import Part


class SubjectError(Exception):
    """The subject raised, or answered with something that is not an answer."""


class NotOfferedError(SubjectError):
    """The subject does not offer this variant, or lacks a package that it needs for it."""


@dataclass
class Probe:
    """A part under test. Answers are remembered, so that several checks share one call.

    Each method takes the capability and the arguments in the order of `subjects.CAPABILITIES`.
    """

    part: Part
    warned: set[str] = field(default_factory=set)
    _answers: dict[Hashable, Any] = field(default_factory=dict)

    def number(self, capability: str, *arguments: Any) -> float:
        """A scalar answer, as float."""
        answer = _floats(self._call(capability, arguments))
        if answer.size != 1:
            raise SubjectError(f"returned shape {answer.shape} where a number is due")
        return float(answer.reshape(()))

    def array(self, capability: str, shape: tuple[int, ...], *arguments: Any) -> Array:
        """An array answer of the shape that is due, as float64."""
        return _shaped(self._call(capability, arguments), shape)

    def pair(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """An answer (f (n,), g (m,)) to a problem (C, a, b, eps)."""
        answer, (C, *_) = self._call(capability, arguments), arguments
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            raise SubjectError(f"returned {type(answer).__name__} where a pair (f, g) is due")
        return _shaped(answer[0], C.shape[:1]), _shaped(answer[1], C.shape[1:])

    def _call(self, capability: str, arguments: tuple[Any, ...]) -> Any:
        memo = (capability, *map(_key, arguments))
        if memo not in self._answers:
            self._answers[memo] = self._fresh(capability, arguments)
        if isinstance(self._answers[memo], SubjectError):
            raise self._answers[memo]
        return self._answers[memo]

    def _fresh(self, capability: str, arguments: tuple[Any, ...]) -> Any:
        copies = [value.copy() if isinstance(value, np.ndarray) else value for value in arguments]
        printed = io.StringIO()
        with warnings.catch_warnings(record=True) as caught, redirect_stdout(printed):
            warnings.simplefilter("always")
            try:
                return self.part.capabilities[capability](*copies)
            except NotImplementedError as error:
                return NotOfferedError(_short(str(error)))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - all it raises is a finding
                return SubjectError(f"{type(error).__name__}: {_short(str(error))}")
            finally:
                self.warned |= {_short(str(warning.message)) for warning in caught}
                self.warned |= {_short(line) for line in printed.getvalue().splitlines()}


def _key(argument: Any) -> Hashable:
    if isinstance(argument, np.ndarray):
        return argument.shape, argument.dtype.str, argument.tobytes()
    return argument  # type: ignore[no-any-return]


def _floats(answer: Any) -> Array:
    try:
        array = np.asarray(answer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise SubjectError(f"returned {type(answer).__name__}, not numbers ({error})") from None
    if array.dtype.kind not in "fiu":
        raise SubjectError(f"returned {type(answer).__name__} of {array.dtype}, not numbers")
    return array.astype(np.float64)


def _shaped(answer: Any, shape: tuple[int, ...]) -> Array:
    array = _floats(answer)
    if array.shape != shape:
        raise SubjectError(f"returned shape {array.shape} where {shape} is due")
    return array


def _short(message: str, length: int = 120) -> str:
    line = " ".join(message.split())
    return line if len(line) <= length else line[: length - 1] + "…"
