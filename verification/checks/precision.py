"""Checks of precision: in float64 an answer has float64 digits, in float32 its error stays below a
budget.

The budget of a float32 answer is the bound on the rounding of refot's own answer
(`rounding_bounds`), multiplied by the ratio of the roundings of float32 and float64. For an answer
that comes from a solve, the error of a solve that stops at the subject's tolerance is added.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case, synthetic
from refot.verification.certificates.balls import UNIT
from refot.verification.certificates.intervals import Interval
from refot.verification.certificates.rounding_bounds import ROUNDING_BOUNDS
from refot.verification.subjects.capabilities import (
    CAPABILITIES,
    Answers,
    Role,
    Unit,
    names_of,
)
from refot.verification.subjects.doubles import in_doubles
from refot.verification.subjects.probe import is_single
from refot.verification.truth.right import RIGHT, sums
from refot.verification.truth.solution import solution_of

from .arguments import first, ordinary
from .trial import SINGLE, Finding, Trial, check

LOSS = float(np.finfo(np.float32).eps) / 2 / UNIT
"""How many times larger a rounding of float32 is than one of float64: 2^29."""

ADMITTED = 1e-5
"""A subject may answer a float64 call in float32 if the tolerance that it states is at least this:
about a hundred roundings of float32."""


# ------------------------------------------------------------------ float64
def _double(capability: str) -> None:
    @check(f"{capability}.float64",
           "Called in float64 it answers in float64, or states a tolerance that float32 keeps",
           first)
    def run(trial: Trial) -> Finding:
        case = _another()
        other = replace(trial, case=case, truth=solution_of(case), calls=[])
        one, two = (asked.raw(capability, *ordinary(asked, capability)) for asked in (trial, other))
        if not (np.isfinite(one).all() and np.isfinite(two).all()):
            return Finding(np.nan, None, np.nan, 0.0, "the answer is not finite")
        # an answer such as 0.5 on every case is a float32 number without being computed in float32
        constant = one.shape == two.shape and bool((one == two).all())
        single = is_single(one) and is_single(two) and not constant
        stated = trial.probe.part.tolerance
        if single and stated is not None and stated >= ADMITTED:
            return trial.mass_error(0.0, f"float32 numbers, and a tolerance of {stated:g}")
        return replace(trial.mass_error(float(single)), cause=SINGLE)


@cache
def _another() -> Case:
    """A second case of the shape of the first, from a seed that no other check uses."""
    return next(synthetic(1_000_003))


# ------------------------------------------------------------------ float32
def in_single(case: Case) -> Case:
    """The case with float32 arrays."""
    arrays = {name: getattr(case, name).astype(np.float32) for name in ("C", "a", "b", "x", "y")}
    return replace(case, name=f"{case.name}.float32", **arrays)


def _single(capability: str) -> None:
    @check(f"{capability}.float32",
           "Called in float32 it is as right as in float64, but for a bound on float32 roundings",
           first)
    def run(trial: Trial) -> Finding:
        case = in_single(trial.case)
        asked = replace(trial, case=case, truth=solution_of(case), calls=[])
        arguments = tuple(_to_single(each) for each in ordinary(asked, capability))
        exact = in_doubles(capability, arguments)
        right = np.asarray(RIGHT[capability](*exact))
        answer = _answer(asked, capability, right.shape, arguments)
        bound = np.asarray(ROUNDING_BOUNDS[capability](*exact))
        budget = np.broadcast_to(LOSS * bound + _stop(asked, capability, right), right.shape)
        off = abs(answer - right)
        worst = np.unravel_index(int(np.argmax(np.where(np.isfinite(off), off / budget, np.inf))),
                                 right.shape)
        missed = np.isfinite(off).all() and off[worst] > budget[worst]
        # If the answer in float64 is off by as much, float32 is not to blame. Another check fails.
        if missed and _off_in_double(asked, capability, right, exact, off):
            return trial.mass_error(0.0, "as far off in float64: no matter of precision")
        expected = float(right[worst])
        return Finding(float(answer[worst]), Interval(expected, expected), float(off[worst]),
                       float(budget[worst]), "the entry that is worst against its budget")


def _to_single(argument: Any) -> Any:
    return argument.astype(np.float32) if isinstance(argument, np.ndarray) else argument


def _answer(trial: Trial, capability: str, shape: tuple[int, ...], arguments: Any) -> Array:
    """The answer as one array. Balanced potentials are given as the sums f_i + g_j, which do not
    change if a constant is added to f and subtracted from g; unbalanced ones, which are unique, as
    f and then g."""
    if CAPABILITIES[capability].answers is Answers.PAIR:
        return sums(*trial.pair(capability, *arguments))
    if CAPABILITIES[capability].answers is Answers.BOTH:
        return np.concatenate(trial.pair(capability, *arguments))
    if shape:
        return trial.array(capability, shape, *arguments)
    return np.asarray(trial.number(capability, *arguments))


def _off_in_double(
    trial: Trial, capability: str, right: Array, exact: tuple[Any, ...], off: Array
) -> bool:
    """Whether the answer to the same numbers in float64 is at least half as wrong, or not a number.
    """
    answer = _answer(trial, capability, right.shape, exact)
    return not float(abs(answer - right).max()) < float(off.max()) / 2


def _stop(trial: Trial, capability: str, right: Array) -> float:
    """The error that an answer may have because its solve stops at the marginal error `Trial.rate`,
    in the units of the answer; 0 for an answer that needs no solve.
    """
    record, case = CAPABILITIES[capability], trial.case
    if not record.solved:
        return 0.0
    if record.unit is Unit.SLOPE:  # a gradient multiplies errors of the potentials by spread / eps
        return trial.rate * float(abs(right).max()) * max(1.0, case.spread / case.eps)
    return trial.rate * (case.unit if record.unit is Unit.COST else 1.0)


for _capability in names_of(Role.ANSWER):
    _double(_capability)
    if _capability in ROUNDING_BOUNDS:
        _single(_capability)
