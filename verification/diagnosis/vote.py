"""Diagnosis: which known mistake gives exactly the wrong answers that were found.

Every wrong answer is compared with what each mistake of the catalogue answers to the same
arguments. A mistake *fits* the call if its answer is a hundred times nearer to the subject's answer
than the right one is. The call *speaks against* the mistake if its answer is not even ten times
nearer. On a degenerate problem two mistakes may give the same answer. So no mistake is named
because of one call: all failed calls of one capability vote (`named`).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from refot.arrays import Array, InputError
from refot.verification.checks.trial import SINGLE, Call, Finding, Trial
from refot.verification.mistakes.catalogue import NUMERICAL, mistakes_of
from refot.verification.mistakes.mistake import forms
from refot.verification.subjects.capabilities import CAPABILITIES, Answers
from refot.verification.subjects.doubles import in_doubles
from refot.verification.truth.right import RIGHT, sums

from .causes import cause, not_finite
from .patterns import traits
from .questions import Right, depends_on_earlier_calls

MISTAKES = {
    capability: {mistake.said: mistake.answer for mistake in mistakes_of(capability)
                 if mistake.id not in NUMERICAL}
    for capability in RIGHT
}
"""By capability, and by the sentence that names a mistake, the function that makes it. Mistakes of
numerics are left out: `causes.py` recognises these by the numbers of a call."""

BY_MASS = ("plan", "unbalanced_plan")
"""Capabilities whose answers are masses, and are compared in L1; others by the largest entry."""

FITS = 1 / 100
"""A mistake fits up to this distance from the answer, in units of the error of the answer."""

SPEAKS_AGAINST = 1 / 10
"""Beyond this distance, in the same units, the answer speaks against the mistake."""

SLOW_RHO = 100
"""A rho / eps above which a loop of unbalanced transport may stop far from the optimum, because an
iteration removes only about 2 eps / rho of the error."""

SINGLE_ERROR = 1e-2
"""The largest relative error that float32 is taken to explain."""


@dataclass(frozen=True)
class Evidence:
    """What one call shows about the mistakes: the sentences of those that fit it, and of those that
    it speaks against.

    `call` is a unique name. A `clean` call (float64, well conditioned) has a veto: a mistake that
    it speaks against is not named. `cause` is a cause in the numerics (underflow, no convergence),
    which takes no part in the vote. `off` is the error in words. `traits` are those of the
    arguments (`patterns.py`); of a right call (`wrong` is False) only these are used.
    """

    call: str
    clean: bool
    fits: tuple[str, ...]
    against: tuple[str, ...]
    cause: str
    off: str
    traits: frozenset[str] = frozenset()
    wrong: bool = True


@dataclass
class Suspects:
    """Collects the evidence about one part of a subject.

    It remembers which mistakes have fitted so far, and compares with these first, because most
    wrong calls of a part make the same mistake. If `asks` is False, no further calls to the subject
    are made.
    """

    asks: bool = True
    fitted: Counter[tuple[str, str]] = field(default_factory=Counter)
    _history: dict[str, str] = field(default_factory=dict)

    def evidence(self, trial: Trial, found: Finding) -> tuple[Evidence, ...]:
        """The evidence of each call that a check made.

        If the check passed and made several calls, none of them is known to be right, since two
        answers may agree and both be wrong: then there is no evidence.
        """
        calls = {_label(call): call for call in trial.calls}
        if found.passed:
            return tuple(_right(call) for call in calls.values()) if len(calls) == 1 else ()
        with np.errstate(all="ignore"):
            return tuple(self._call(trial, call, found) if _misses(trial, call, found)
                         else _right(call) for call in calls.values())

    def _call(self, trial: Trial, call: Call, found: Finding) -> Evidence:
        case, capability, answer = trial.case, call.capability, _observed(call)
        label, traits = _label(call), _traits(call)
        if not np.isfinite(answer).all():
            return Evidence(label, False, (), (), not_finite(trial, call, self._due(capability)),
                            "", traits)
        right = _right_array(capability)(*call.arguments)
        comparison = Comparison(answer, right, found.tolerance, capability in BY_MASS)
        suspects = [key for cap, key in self.fitted if cap == capability]
        fits, against = comparison.of(_alternatives(call, suspects))
        if not fits and not _slow(call):
            others = [key for key in MISTAKES[capability] if key not in suspects]
            more, contradicted = comparison.of(_alternatives(call, others))
            fits, against = more, against + contradicted
        if not case.single and call.single and comparison.relative < SINGLE_ERROR:
            fits = (*fits, SINGLE)
        elif not case.single and not call.single:
            against = (*against, SINGLE)
        self.fitted.update((capability, key) for key in fits if key != SINGLE)
        clean = case.well_conditioned and not case.single and not _slow(call)
        said = "" if fits and clean else (self._depends(trial, capability)
                                or cause(trial, call, found, self._due(capability)))
        return Evidence(label, clean, fits, against, said, comparison.off, traits)

    def _depends(self, trial: Trial, capability: str) -> str:
        """A sentence if answers depend on earlier calls, else ""; found out once for each
        capability."""
        if capability not in self._history:
            due = self._due(capability)
            self._history[capability] = "" if due is None else depends_on_earlier_calls(
                trial, capability, due)
        return self._history[capability]

    def _due(self, capability: str) -> Right | None:
        """The function that gives right answers of the capability, for comparison with further
        calls; None if none are to be made."""
        return _right_array(capability) if self.asks else None


# ------------------------------------------------------------------ one call
@dataclass(frozen=True)
class Comparison:
    """An answer, the right one, and the tolerance of the check.

    Distances are L1 distances for masses (`mass`), else the largest difference of an entry.
    """

    answer: Array
    right: Array
    tolerance: float
    mass: bool

    def distance(self, p: Array, q: Array) -> float:
        difference = abs(p - q)
        return float(difference.sum() if self.mass else difference.max())

    @property
    def error(self) -> float:
        """The distance between the answer and the right one."""
        return self.distance(self.answer, self.right)

    @property
    def relative(self) -> float:
        """`error` relative to the size of the right answer."""
        return self.error / (self.distance(self.right, np.zeros_like(self.right)) or math.inf)

    @property
    def off(self) -> str:
        """The error in words, if the answer is a number; else ""."""
        return "" if self.answer.ndim else f"off by {float(self.answer - self.right):.4g}"

    def of(self, alternatives: Iterator[tuple[str, list[Array]]]) -> tuple[tuple[str, ...], ...]:
        """The sentences of the mistakes that fit, and of those that the answer speaks against.

        A mistake may have several forms, each with an answer. It fits if one of them does, and the
        answer speaks against it only if it does so for all of them.
        """
        fits, against = [], []
        for sentence, values in alternatives:
            if any(self._fits(value) for value in values):
                fits.append(sentence)
            elif all(self.distance(self.answer, value) > self.error * SPEAKS_AGAINST
                     for value in values):
                against.append(sentence)
        return tuple(fits), tuple(against)

    def _fits(self, value: Array) -> bool:
        near = self.error * FITS
        if not self.answer.ndim:
            near = min(near, max(self.tolerance, 1e-9 * abs(float(self.answer))))
        else:  # beside a huge error any mistake is near: it must also be near in its own units
            near = min(near, self.distance(value, np.zeros_like(value)) * FITS)
        return self.distance(self.answer, value) <= near


def _alternatives(
    call: Call, sentences: Iterable[str]
) -> Iterator[tuple[str, list[Array]]]:
    """(sentence, its answers to the arguments of the call), for mistakes with finite answers."""
    arguments, shape = in_doubles(call.capability, call.arguments), _observed(call).shape
    for sentence in sentences:
        try:
            found = MISTAKES[call.capability][sentence](*arguments)
        except (InputError, ArithmeticError):  # the mistake cannot be made with these arguments
            continue
        values = [np.asarray(np.nan if form is None else form, dtype=np.float64)
                  for form in forms(found)]
        finite = [value for value in values if value.shape == shape and np.isfinite(value).all()]
        if finite:
            yield sentence, finite


def _observed(call: Call) -> Array:
    """The answer as one array. Balanced potentials are given as the sums f_i + g_j, which do not
    change if a constant is added to f and subtracted from g; unbalanced ones, which are unique, as
    f and then g."""
    answers = CAPABILITIES[call.capability].answers
    if answers is Answers.PAIR:
        return sums(*call.answer)
    if answers is Answers.BOTH:
        return np.concatenate(call.answer)
    return np.asarray(call.answer)


def _right_array(capability: str) -> Callable[..., Array]:
    """The right answer as one array, as a function of the arguments that a check gives."""
    return lambda *arguments: np.asarray(RIGHT[capability](*in_doubles(capability, arguments)))


def _misses(trial: Trial, call: Call, found: Finding) -> bool:
    """Whether the answer to this call is wrong. A check that failed may have made several calls, of
    which some are right."""
    answer, mass = _observed(call), call.capability in BY_MASS
    if not np.isfinite(answer).all():
        return True
    right = _right_array(call.capability)(*call.arguments)
    off = abs(answer - right)
    scale = float(abs(right).sum() if mass else abs(right).max())
    allowed = found.tolerance if not answer.ndim else trial.rate * scale / 10
    return float(off.sum() if mass else off.max()) > allowed


def _slow(call: Call) -> bool:
    """Whether rho is so large that a loop with a mistake may have stopped before it converged, so
    that the answer of no mistake fits."""
    given = CAPABILITIES[call.capability].named(call.arguments)
    return "rho" in given and given["rho"] > SLOW_RHO * given["eps"]


def _right(call: Call) -> Evidence:
    return Evidence(_label(call), False, (), (), "", "", _traits(call), wrong=False)


def _traits(call: Call) -> frozenset[str]:
    return traits(call.capability, call.arguments)


def _label(call: Call) -> str:
    """A name that is different for different calls, and the same in every process."""
    digest = hashlib.blake2b(call.capability.encode(), digest_size=12)
    for argument in call.arguments:
        if isinstance(argument, np.ndarray):
            digest.update(f"{argument.shape}{argument.dtype}".encode() + argument.tobytes())
        else:
            digest.update(repr(argument).encode())
    return digest.hexdigest()


# ------------------------------------------------------------------ the vote
def named(evidence: Iterable[Evidence]) -> dict[str, tuple[str, int, int]]:
    """The mistakes that fit at least one call and that no clean call speaks against.

    Returns, by sentence, (the error of a call that it fits, in words; the number of calls that it
    fits; the number of failed calls with a finite answer), those that fit most calls first.
    """
    calls = {each.call: each for each in evidence if each.wrong}.values()
    vetoed = {key for each in calls if each.clean for key in each.against}
    fits = Counter(key for each in calls for key in each.fits if key not in vetoed)
    finite = [each for each in calls if each.fits or each.against]
    off = {key: each.off for each in reversed(finite) for key in each.fits}
    return {key: (off[key], count, len(finite)) for key, count in fits.most_common()}


def sentence(
    own: tuple[Evidence, ...], standing: dict[str, tuple[str, int, int]], pattern: str = ""
) -> str:
    """The diagnosis of one failed check, from its `own` evidence and the mistakes still `standing`.

    It names the mistake that fits this check and the most calls. Where several fit equally many, it
    names two of them, because the calls do not tell them apart. If no mistake fits, the diagnosis
    is a cause in the numerics, and without such a cause the `pattern` of all wrong calls.
    """
    wrong = [each for each in own if each.wrong]
    fitting = [key for key in standing if any(key in each.fits for each in wrong)]
    if not fitting:
        return next((each.cause for each in wrong if each.cause), pattern if wrong else "")
    most = max(standing[key][1] for key in fitting)
    alike = [key for key in fitting if standing[key][1] == most]
    _, count, total = standing[alike[0]]
    here = next(each.off for each in wrong if alike[0] in each.fits)
    evidence = ", ".join(filter(None, (here, f"fits {count} of {total} failed calls")))
    return f"{' - or: '.join(alike[:2])} ({evidence})"
