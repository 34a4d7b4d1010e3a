"""Diagnosis: where answers miss, which known mistake gives exactly these answers.

Every call of a failed check is compared with a catalogue of mistakes, each a function of the same
arguments. One fits a call if it lies a hundred times nearer to the answer than the truth does; it
speaks against itself where it lies ten times further off than that. On a degenerate problem two
mistakes coincide, so nothing is named call by call: `named` lets all failed calls of one capability
vote. Where nothing fits, nothing is said.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refot.arrays import Array, InputError
from refot.verification.checks.trial import Call, Finding, Trial
from refot.verification.truth.solution import solution

from .causes import cause, not_finite
from .mistakes import (
    divergences as diagnosis_divergences,
)
from .mistakes import (
    functions as diagnosis_functions,
)
from .mistakes import (
    information as diagnosis_information,
)
from .mistakes import (
    transport as diagnosis_transport,
)

MISTAKES = (diagnosis_transport.MISTAKES | diagnosis_divergences.MISTAKES
            | diagnosis_functions.MISTAKES | diagnosis_information.MISTAKES)
"""What each mistake answers, by capability and sentence."""

RIGHT: dict[str, Callable[..., Any]] = {
    "value": lambda *problem: solution(*problem).F,
    "transport_cost": lambda *problem: solution(*problem).s,
    "plan": lambda *problem: solution(*problem).plan,
    "potentials": lambda *problem: diagnosis_transport.right_sums(solution(*problem)),
    **diagnosis_divergences.RIGHT,
    **diagnosis_functions.RIGHT,
    **diagnosis_information.RIGHT,
}
"""What is right, by capability, in float64."""

FITS, SPEAKS_AGAINST = 1 / 100, 1 / 10
"""In units of how far the answer is from the truth: nearer than this, farther than this."""

SINGLE = "computed in float32: the answers are float32 numbers, the arguments float64"
"""The mistake that is seen in the digits of the answer."""

SINGLE_ERROR = 1e-2
"""The relative error up to which float32 explains an answer."""


@dataclass(frozen=True)
class Evidence:
    """What one call of a failed check says: the mistakes that fit, and those it speaks against.

    `call` tells calls apart; `clean` ones (float64, well conditioned) have a veto. `cause` is what
    numerics alone explain (underflow, not converged), which is no vote. `off` is the error.
    """

    call: str
    clean: bool
    fits: tuple[str, ...]
    against: tuple[str, ...]
    cause: str
    off: str


@dataclass
class Suspects:
    """The evidence of one part. What fitted once is asked first: most calls share one mistake."""

    fitted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def evidence(self, trial: Trial, found: Finding) -> tuple[Evidence, ...]:
        """The evidence of the calls that a failed check made."""
        with np.errstate(all="ignore"):
            return tuple(self._call(trial, call, found) for call in _missing(trial, found))

    def _call(self, trial: Trial, call: Call, found: Finding) -> Evidence:
        case, capability, answer = trial.case, call.capability, _observed(call)
        label = f"{case.name}/{hash(tuple(map(_key, call.arguments)))}"
        if not np.isfinite(answer).all():
            return Evidence(label, False, (), (), not_finite(call, case), "")
        right = np.asarray(RIGHT[capability](*_doubles(call.arguments)))
        comparison = Comparison(answer, right, found.tolerance, capability == "plan")
        suspects = [key for cap, key in self.fitted if cap == capability]
        fits, against = comparison.of(_alternatives(call, suspects))
        if not fits:
            others = [key for key in MISTAKES[capability] if key not in suspects]
            more, contradicted = comparison.of(_alternatives(call, others))
            fits, against = more, against + contradicted
        if not case.single and call.single and comparison.relative < SINGLE_ERROR:
            fits = (*fits, SINGLE)
        elif not case.single and not call.single:
            against = (*against, SINGLE)
        self.fitted.update((capability, key) for key in fits if key != SINGLE)
        clean = case.well_conditioned and not case.single
        return Evidence(label, clean, fits, against,
                        "" if fits else cause(trial, call, found), comparison.off)


# ------------------------------------------------------------------ one call
@dataclass(frozen=True)
class Comparison:
    """An answer, the right one, and the tolerance; plans by their L1 distance, others by max."""

    answer: Array
    right: Array
    tolerance: float
    mass: bool

    def distance(self, p: Array, q: Array) -> float:
        difference = abs(p - q)
        return float(difference.sum() if self.mass else difference.max())

    @property
    def error(self) -> float:
        """How far the answer is from the truth."""
        return self.distance(self.answer, self.right)

    @property
    def relative(self) -> float:
        """That error in units of the right answer."""
        return self.error / (self.distance(self.right, np.zeros_like(self.right)) or math.inf)

    @property
    def off(self) -> str:
        """A number's error, in words."""
        return "" if self.answer.ndim else f"off by {float(self.answer - self.right):.4g}"

    def of(self, alternatives: Iterator[tuple[str, Array]]) -> tuple[tuple[str, ...], ...]:
        """(the sentences that fit, those that the call speaks against)."""
        fits, against, number = [], [], not self.answer.ndim
        for sentence, value in alternatives:
            apart = self.distance(self.answer, value)
            near = self.error * FITS
            if number:
                near = min(near, max(self.tolerance, 1e-9 * abs(float(self.answer))))
            else:  # far from the truth everything is near: it must be near in its own units, too
                near = min(near, self.distance(value, np.zeros_like(value)) * FITS)
            if apart <= near:
                fits.append(sentence)
            elif apart > self.error * SPEAKS_AGAINST:
                against.append(sentence)
        return tuple(fits), tuple(against)


def _alternatives(call: Call, sentences: Iterable[str]) -> Iterator[tuple[str, Array]]:
    """What these mistakes answer to the arguments of the call, where that is a finite answer."""
    arguments, shape = _doubles(call.arguments), _observed(call).shape
    for sentence in sentences:
        try:
            found = MISTAKES[call.capability][sentence](*arguments)
        except InputError:  # the mistake ends in an argument that refot refuses
            continue
        value = np.asarray(np.nan if found is None else found, dtype=np.float64)
        if value.shape == shape and np.isfinite(value).all():
            yield sentence, value


def _observed(call: Call) -> Array:
    """The answer as one array; of potentials f_i + g_j, which is the same in every gauge."""
    if call.capability == "potentials":
        return diagnosis_transport.sums(*call.answer)
    return np.asarray(call.answer)


def _missing(trial: Trial, found: Finding) -> Iterator[Call]:
    """The calls of a check whose answers are not right, each once."""
    for call in {(c.capability, *map(_key, c.arguments)): c for c in trial.calls}.values():
        answer = _observed(call)
        if not np.isfinite(answer).all():
            yield call
            continue
        right = np.asarray(RIGHT[call.capability](*_doubles(call.arguments)))
        off = abs(answer - right)
        scale = float(abs(right).sum() if call.capability == "plan" else abs(right).max())
        allowed = found.tolerance if not answer.ndim else trial.rate * scale / 10
        if float(off.sum() if call.capability == "plan" else off.max()) > allowed:
            yield call


def _doubles(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arrays in float64."""
    return tuple(x.astype(np.float64) if isinstance(x, np.ndarray) else x for x in arguments)


def _key(argument: Any) -> Any:
    if isinstance(argument, np.ndarray):
        return argument.shape, argument.tobytes()
    return argument


# ------------------------------------------------------------------ the vote
def named(evidence: Iterable[Evidence]) -> dict[str, tuple[str, int, int]]:
    """For each mistake that stands: how the evidence for it reads, and the calls that it explains.

    It stands if it fits at least one call and no clean call speaks against it. Returns, by
    sentence, (the error it explains, calls that fit, calls that failed with a finite answer).
    """
    calls = {each.call: each for each in evidence}.values()
    vetoed = {key for each in calls if each.clean for key in each.against}
    fits = Counter(key for each in calls for key in each.fits if key not in vetoed)
    finite = [each for each in calls if each.fits or each.against]
    off = {key: each.off for each in reversed(finite) for key in each.fits}
    return {key: (off[key], count, len(finite)) for key, count in fits.most_common()}


def sentence(own: tuple[Evidence, ...], standing: dict[str, tuple[str, int, int]]) -> str:
    """What is said of one failed check: the mistake that explains most calls, this one's among
    them; if several explain equally many, they could not be told apart, and two are named."""
    fitting = [key for key in standing if any(key in each.fits for each in own)]
    if not fitting:
        return next((each.cause for each in own if each.cause), "")
    most = max(standing[key][1] for key in fitting)
    alike = [key for key in fitting if standing[key][1] == most]
    _, count, total = standing[alike[0]]
    here = next(each.off for each in own if alike[0] in each.fits)
    evidence = ", ".join(filter(None, (here, f"fits {count} of {total} failed calls")))
    return f"{' - or: '.join(alike[:2])} ({evidence})"
