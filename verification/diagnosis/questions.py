"""Questions put to a subject for the diagnosis, where the answers to the checks leave it open.

Does an answer depend on the calls before it? Does the same problem come out right where hardly an
iteration is needed? Are exponents summed that cancel, or is exp(-C / eps) taken alone?
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import ConversionError
from refot.verification.cases.case import Case, clouds
from refot.verification.checks.arguments import ordinary
from refot.verification.checks.trial import Trial
from refot.verification.subjects.capabilities import CAPABILITIES, Answers
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.protocol import argument_names
from refot.verification.truth.solution import solution_of

Right: TypeAlias = Callable[..., Any]
"""The right answer of a capability, as one array."""

NEAR, FAR = 10, 1_000
"""Up to NEAR tolerances off, an answer counts as right here; beyond FAR tolerances as wrong."""

EASY = 1_000
"""eps in units of max C - min C at which one iteration removes all but some 1e-7 of an error: the
kernel is of rank one up to 1e-3, and an iteration squares that."""


def asked(trial: Trial, capability: str, arguments: tuple[Any, ...], right: Array) -> Array | None:
    """The answer to a call that is made anew, or None where there is none of the right shape."""
    fresh = Trial(Probe(trial.probe.part), trial.case, trial.truth)
    try:
        answers = CAPABILITIES[capability].answers
        if answers in (Answers.PAIR, Answers.BOTH):
            f, g = fresh.pair(capability, *arguments)
            return f[:, None] + g if answers is Answers.PAIR else np.concatenate((f, g))
        if not right.shape:
            return np.asarray(fresh.number(capability, *arguments))
        return fresh.array(capability, right.shape, *arguments)
    except (SubjectError, ConversionError):
        return None


def distance(capability: str, p: Array | None, q: Array | None) -> float:
    """How far two answers are apart, in units of the second; infinite where there is none."""
    if p is None or q is None or not np.isfinite(p).all():
        return np.inf
    if capability in ("plan", "unbalanced_plan"):
        return float(abs(p - q).sum() / abs(q).sum())
    return float(abs(p - q).max() / (abs(q).max() or 1.0))


# ------------------------------------------------------------------ the calls before
LEAST_SHAPE = (17, 14)
"""Of no case, nor of a derived one, so that nothing of this shape has been asked before."""

_asking = itertools.count()
"""Counts the questions: each has a new shape and eps, as a subject may keep results by them."""


def _two_alike(cost: str) -> tuple[Case, Case]:
    """Two cases of one shape and one eps, with other points and weights."""
    turn = next(_asking)
    n, m = (size + 3 * (turn % 20) for size in LEAST_SHAPE)
    found = []
    for seed in (2 * turn, 2 * turn + 1):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + 1
        found.append(clouds("asked", "", x, y, 0.1, a=rng.dirichlet(np.full(n, 2.0)),
                            b=rng.dirichlet(np.full(m, 2.0)), cost=cost))
    one, other = found
    return one, replace(other, eps=one.eps)


def depends_on_earlier_calls(trial: Trial, capability: str, right: Right) -> str:
    """What shows that an answer depends on more than its arguments, or "".

    Two questions of one shape are put, and the first once more; then, at another new shape, the
    same two with atoms split, the second one first. What is kept by shape is right for the one that
    came first and wrong for the other, whichever that is.
    """
    def put(case: Case) -> tuple[Array, Array | None]:
        arguments = ordinary(Trial(trial.probe, case, solution_of(case)), capability)
        due = np.asarray(right(*arguments))
        return due, asked(trial, capability, arguments, due)

    def off(answered: tuple[Array, Array | None]) -> float:
        due, answer = answered
        return distance(capability, answer, due) / trial.rate

    one, other = _two_alike(trial.case.cost or "sqeuclidean")
    first, second, once_more = put(one), put(other), put(one)
    if first[1] is None or once_more[1] is None:
        return ""
    if distance(capability, once_more[1], first[1]) > NEAR * trial.rate:
        if distance(capability, put(one)[1], once_more[1]) > NEAR * trial.rate:
            return ("the answer depends on earlier calls, or on a random draw: the same question, "
                    "asked again, has another answer")
        return ("the answer depends on earlier calls: the same question, asked again after "
                "another, has another answer")
    late, early = put(other.split().split()), put(one.split().split())
    if max(off(first), off(late)) <= NEAR and max(off(second), off(early)) > FAR:
        return ("the answer depends on earlier calls: right where a question is the first of its "
                "shape, wrong after another of that shape: what is kept between calls is stale")
    return ""


# ------------------------------------------------------------------ few iterations are enough
def right_where_easy(trial: Trial, capability: str, arguments: tuple[Any, ...], spread: float,
                     right: Right) -> bool:
    """Whether the same problem at so large an eps that an iteration or two are enough is right.

    What stops too early is; what stands at a wrong fixed point is off there by 1 / EASY or so.
    """
    eps = argument_names(capability).index("eps")
    easy = (*arguments[:eps], EASY * spread, *arguments[eps + 1:])
    due = np.asarray(right(*easy))
    answer = asked(trial, capability, easy, due)
    return distance("plan", answer, due) <= NEAR * trial.rate


# ------------------------------------------------------------------ the log domain
def in_the_log_domain(trial: Trial, capability: str, right: Right) -> bool:
    """Whether exponents are added before exp is taken: exp(-C_ij / eps) alone would be 0.

    C_ij = alpha_i + beta_j with both 0 or 400 eps, and f = alpha, g = beta: no exponent of a
    log-sum-exp, (g_j - C_ij) / eps, is below -400, from either start, while C / eps reaches 800.
    """
    if capability not in ("plan", "potentials", "value", "transport_cost"):
        return False
    alpha, beta = 400.0 * (np.arange(5) > 0), 400.0 * (np.arange(4) > 0)
    a, b = np.array([3.0, 2, 1, 1, 1]) / 8, np.array([1.0, 2, 3, 2]) / 8
    problem = alpha[:, None] + beta, a, b, 1.0
    due = np.asarray(right(*problem))
    return distance(capability, asked(trial, capability, problem, due), due) <= NEAR * trial.rate
