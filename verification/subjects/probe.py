"""Calls into a subject. Each call is made once, and its answer, warnings and printed lines are kept
for all checks that make the same call.

Nothing that a subject returns is trusted: shape and type of an answer are checked, too.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from refot.arrays import Array

from .anew import anew
from .isolation import isolated
from .limits import Clocked
from .protocol import argument_names
from .subject import Part
from .text import one_line, text_of

LARGEST = 10_000_000
"""The most numbers that an answer may have. The largest right answer to a check, a plan of about
64 x 64, has some four thousand."""


class SubjectError(Exception):
    """The subject raised an error (`raised` is its class), or what it returned is no answer."""

    raised: type[BaseException] | None = None


class NotOfferedError(SubjectError):
    """The subject does not offer this variant, or lacks a package that it needs for it."""


class NoAnswerError(SubjectError):
    """The subject did not answer in time."""


@dataclass
class Probe:
    """A part under test. Answers are remembered, so that several checks share one call.

    Most methods take the name of a capability and its arguments in the order of CAPABILITIES.
    `warned` and `printed` collect the warnings and printed lines of all calls. `hung` counts the
    calls with bad input that had no answer in time; `upset` says whether a call with bad input has
    raised since the last call with sound input.
    """

    part: Part
    warned: set[str] = field(default_factory=set)
    printed: set[str] = field(default_factory=set)
    hung: int = 0
    upset: bool = False
    _answers: dict[Hashable, Any] = field(default_factory=dict)
    _warnings: dict[tuple[Hashable, ...], list[str]] = field(default_factory=dict)
    _written: dict[Hashable, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def aside(self) -> Probe:
        """A probe of the same part for questions that no check asks: what they warn of is not in
        the report. Its answers are remembered, too."""
        return Probe(self.part)

    def under(self, part: Part) -> Probe:
        """A new probe of `part`, which is the same part under other limits of time or memory. The
        two probes share their warnings: a subject that solves a problem once for several calls
        warns only once, in a call to one of them."""
        return Probe(part, _warnings=self._warnings)

    def number(self, capability: str, *arguments: Any) -> float:
        """A scalar answer, as float."""
        return _number(self._call(capability, arguments))

    def flag(self, capability: str, *arguments: Any) -> bool:
        """An answer that is yes or no: a boolean of Python, NumPy, or an array of one."""
        answer = self._call(capability, arguments)
        with looking_at("True or False"):
            array = np.asarray(answer)
            if array.dtype == np.bool_ and array.size == 1:
                return bool(array.reshape(()))
        raise SubjectError(f"returned {one_line(text_of(answer))} where True or False is due")

    def array(self, capability: str, shape: tuple[int, ...], *arguments: Any) -> Array:
        """An array answer, as float64. Raises SubjectError if it has another shape."""
        return _shaped(self._call(capability, arguments), shape)

    def pair(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """An answer (f (n,), g (m,)) to a problem (C, a, b, eps)."""
        answer, (C, *_) = self._call(capability, arguments), arguments
        with looking_at("a pair (f, g)"):
            if isinstance(answer, tuple | list) and len(answer) == 2:
                return _shaped(answer[0], C.shape[:1]), _shaped(answer[1], C.shape[1:])
        raise SubjectError(f"returned {type(answer).__name__} where a pair (f, g) is due")

    def twice(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """The answers to the same call made twice, each as one flat array.

        Raises SubjectError if one of them has no numbers.
        """
        memo = _memo(capability, arguments)
        first = self._call(capability, arguments)
        del self._answers[memo]
        with anew():
            pair = _flat(first), _flat(self._call(capability, arguments))
        if not all(answer.size for answer in pair):
            raise SubjectError("returned no numbers at all")
        return pair

    def seconds(self, capability: str, *arguments: Any) -> float:
        """The seconds that a new call with these arguments takes. Raises SubjectError.

        The arguments are not copied. A capability that waits for a program is timed by its own
        clock, which leaves out what refot needs to write the request.
        """
        function = self.part.capabilities[capability]
        clock = function.clock if isinstance(function, Clocked) else time.perf_counter
        start = clock()
        with anew():
            answer = self._made((capability, "timed"), capability, arguments)
        taken: float = clock() - start
        if isinstance(answer, SubjectError):
            raise answer
        return taken

    def answer(self, capability: str, name: str, *arguments: Any) -> Any:
        """The answer of a new call, just as the subject returned it.

        The warnings of the call are kept under `name` in place of the arguments.
        """
        with anew():
            answer = self._fresh((capability, name), capability, arguments)
        if isinstance(answer, SubjectError):
            raise answer
        return answer

    def flat(self, capability: str, *arguments: Any) -> Array:
        """The answer as one flat array, whatever its shape."""
        return _flat(self._call(capability, arguments))

    def single(self, capability: str, *arguments: Any) -> bool:
        """Whether all numbers of the answer are exact in float32, whatever their dtype."""
        return is_single(_flat(self._call(capability, arguments)))

    def warnings(self, *arguments: Any) -> list[str]:
        """The warnings of all calls with these arguments, whichever the capability.

        A subject may solve a problem once and answer several calls from it, so that only the first
        call warns.
        """
        _, *asked = _memo("", arguments)
        return [line for (_, *given), lines in self._warnings.items() if given == asked
                for line in lines]

    def written(self, capability: str, *arguments: Any) -> tuple[str, ...]:
        """The names of the arguments into which this call writes, whether it answers or raises.

        Raises NotOfferedError if the call raises an error without having written into any.
        """
        memo = _memo(capability, arguments)
        try:
            self._call(capability, arguments)
        except SubjectError as error:
            if not self._written[memo]:
                raise NotOfferedError(f"not known: the call has no answer ({error})") from None
        return self._written[memo]

    def _call(self, capability: str, arguments: tuple[Any, ...]) -> Any:
        """The remembered answer, or that of a new call. Raises SubjectError."""
        memo = _memo(capability, arguments)
        if memo not in self._answers:
            self._answers[memo] = self._fresh(memo, capability, arguments)
        if isinstance(self._answers[memo], SubjectError):
            raise self._answers[memo]
        return self._answers[memo]

    def _fresh(
        self, memo: tuple[Hashable, ...], capability: str, arguments: tuple[Any, ...]
    ) -> Any:
        """The answer of a new call on copies of the arguments, or its SubjectError.

        Arguments of which copy and original differ afterwards are those that the subject has
        changed.
        """
        copies = deepcopy(arguments)
        answer = self._made(memo, capability, copies)
        named = zip(argument_names(capability), arguments, copies, strict=False)
        self._written[memo] = tuple(name for name, *pair in named if not _same(*pair))
        return answer

    def _made(
        self, memo: tuple[Hashable, ...], capability: str, arguments: tuple[Any, ...]
    ) -> Any:
        """The answer of a new call on these very arguments, or the SubjectError that it raised."""
        with isolated() as said:
            try:
                answer = self.part.capabilities[capability](*arguments)
            except NotImplementedError as error:
                answer = NotOfferedError(one_line(text_of(error)))
            except TimeoutError as error:
                answer = NoAnswerError(one_line(text_of(error)))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - all else it raises is a finding
                answer = SubjectError(f"{type(error).__name__}: {one_line(text_of(error))}")
                answer.raised = type(error)
        if said.warnings:
            self._warnings[memo] = said.warnings
        self.warned |= set(said.warnings)
        self.printed |= set(said.printed)
        return answer


def is_single(answer: Array) -> bool:
    """Whether all these numbers are exact in float32, and not all are 0."""
    with np.errstate(over="ignore"):
        return bool(np.isfinite(answer).all() and answer.any()
                    and (answer == answer.astype(np.float32)).all())


def _memo(capability: str, arguments: tuple[Any, ...]) -> tuple[Hashable, ...]:
    return (capability, *map(_key, arguments))


def _key(argument: Any) -> Hashable:
    """A hashable value that is equal for two arguments if and only if they agree to the bit."""
    if isinstance(argument, np.ndarray):
        return argument.shape, argument.dtype.str, argument.tobytes()
    if isinstance(argument, dict):
        return tuple((name, _key(entry)) for name, entry in argument.items())
    if isinstance(argument, list | tuple):
        return tuple(map(_key, argument))
    return argument  # type: ignore[no-any-return]


def _same(before: Any, after: Any) -> bool:
    """Whether an argument is the same as before, to the bit.

    `before` is made of arrays, lists, dicts, and numbers; `after` may be anything that a subject
    has put into them.
    """
    if type(before) is not type(after):
        return False
    if isinstance(before, np.ndarray):
        return bool(_key(before) == _key(after))
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(_same(before[k], after[k]) for k in before)
    if isinstance(before, list | tuple):
        return len(before) == len(after) and all(map(_same, before, after))
    return before is after or bool(before == after)


@contextmanager
def looking_at(due: str) -> Iterator[None]:
    """Turn every error in the block into a SubjectError: the answer is not `due`.

    For code that looks at an answer. Methods of the answer, such as `__array__` and `__len__`, are
    the subject's code, too, and may raise anything.
    """
    try:
        yield
    except (SubjectError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - all else it raises is a finding
        raise SubjectError(f"returned what is not {due} ({type(error).__name__}: "
                           f"{one_line(text_of(error))})") from None


def _floats(answer: Any) -> Array:
    with looking_at("numbers"):
        if not isinstance(answer, np.ndarray) and hasattr(answer, "__len__") and (
            len(answer) > LARGEST
        ):
            raise SubjectError(f"returned {len(answer)} entries: more than any answer has")
        array = np.asarray(answer)
    if array.dtype.kind not in "fiu":
        raise SubjectError(f"returned {type(answer).__name__} of {array.dtype}, not numbers")
    if array.size > LARGEST:
        raise SubjectError(f"returned shape {array.shape}: more numbers than any answer has")
    return array.astype(np.float64)


def _number(answer: Any) -> float:
    array = _floats(answer)
    if array.size != 1:
        raise SubjectError(f"returned shape {array.shape} where a number is due")
    return float(array.reshape(()))


def _shaped(answer: Any, shape: tuple[int, ...]) -> Array:
    array = _floats(answer)
    if array.shape != shape:
        raise SubjectError(f"returned shape {array.shape} where {shape} is due")
    return array


def _flat(answer: Any) -> Array:
    parts = answer if isinstance(answer, tuple | list) else (answer,)
    with looking_at("numbers"):
        return np.concatenate([np.empty(0), *(_floats(part).ravel() for part in parts)])
