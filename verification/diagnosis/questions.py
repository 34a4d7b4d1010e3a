"""Further calls to a subject, where the answers to the checks leave the cause of a failure open.

The calls answer three questions. Does an answer depend on earlier calls? Is the same problem solved
right at so large an eps that an iteration or two are enough? Does the subject work in the log
domain, or does it form exp(-C / eps)?
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
from refot.verification.subjects.anew import anew
from refot.verification.subjects.capabilities import CAPABILITIES, Answers
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.subjects.protocol import argument_names
from refot.verification.truth.solution import solution_of

Right: TypeAlias = Callable[..., Any]
"""A function of the arguments of a capability that gives the right answer, as one array."""

NEAR = 10
"""An answer that is off by at most this many tolerances (`Trial.rate`) counts as right here."""

FAR = 1_000
"""An answer that is off by more than this many tolerances counts as wrong."""

EASY = 1_000
"""eps in units of max C - min C, for a problem that an iteration or two solve: half an iteration
multiplies the error by at most tanh(1 / (2 EASY)) = 5e-4 (Franklin and Lorenz 1989)."""


def asked(trial: Trial, capability: str, arguments: tuple[Any, ...], right: Array) -> Array | None:
    """The answer to a question, as an array of the shape of `right`; None if there is no such
    answer. Several failures may ask the same question: the call is made once."""
    return _answer(replace(trial, probe=trial.probe.aside, calls=[]), capability, arguments, right)


def asked_anew(
    trial: Trial, capability: str, arguments: tuple[Any, ...], right: Array
) -> Array | None:
    """As `asked`, with a call that is made anew."""
    with anew():
        return _answer(replace(trial, probe=Probe(trial.probe.part), calls=[]), capability,
                       arguments, right)


def _answer(
    trial: Trial, capability: str, arguments: tuple[Any, ...], right: Array
) -> Array | None:
    try:
        answers = CAPABILITIES[capability].answers
        if answers in (Answers.PAIR, Answers.BOTH):
            f, g = trial.pair(capability, *arguments)
            return f[:, None] + g if answers is Answers.PAIR else np.concatenate((f, g))
        if not right.shape:
            return np.asarray(trial.number(capability, *arguments))
        return trial.array(capability, right.shape, *arguments)
    except (SubjectError, ConversionError):
        return None


def distance(capability: str, p: Array | None, q: Array | None) -> float:
    """How far the answer p is from q, relative to the size of q; infinite if one of them is None,
    or p is not finite. Plans are compared in L1, other answers by the largest entry."""
    if p is None or q is None or not np.isfinite(p).all():
        return np.inf
    if capability in ("plan", "unbalanced_plan"):
        return float(abs(p - q).sum() / abs(q).sum())
    return float(abs(p - q).max() / (abs(q).max() or 1.0))


# ------------------------------------------------------------------ the calls before
LEAST_SHAPE = (17, 14)
"""(n, m) of the smallest problem that is put. No case has such a shape, so that a subject that
keeps results by shape has none for it yet."""

_asking = itertools.count()
"""Counts the pairs of problems, so that each can have a new shape."""


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
    """A sentence if an answer depends on more than the arguments of its call, else "".

    The subject solves two problems of the same new shape, and then the first one again, for which
    it must give the same answer. Then it solves both in the other order, with atoms split so that
    the shape is new again. A subject that keeps something by shape is right for the problem that
    comes first, and wrong for the one that comes second, in both orders.
    """
    def put(case: Case) -> tuple[Array, Array | None]:
        arguments = ordinary(Trial(trial.probe, case, solution_of(case)), capability)
        due = np.asarray(right(*arguments))
        return due, asked_anew(trial, capability, arguments, due)

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
    """Whether the answer is right at an eps so large that an iteration or two are enough.

    If so, the solver merely stopped too early. One that converges to a wrong fixed point is wrong
    there, too, by about 1 / EASY.
    """
    eps = argument_names(capability).index("eps")
    easy = (*arguments[:eps], EASY * spread, *arguments[eps + 1:])
    due = np.asarray(right(*easy))
    answer = asked(trial, capability, easy, due)
    return distance("plan", answer, due) <= NEAR * trial.rate


# ------------------------------------------------------------------ the log domain
def in_the_log_domain(trial: Trial, capability: str, right: Right) -> bool:
    """Whether the subject solves a problem on which exp(-C / eps) underflows.

    C_ij = alpha_i + beta_j, where alpha and beta are 0 or 400 eps, with the solution f = alpha and
    g = beta. C / eps reaches 800, where exp(-C / eps) is 0 in float64. But whether a loop starts
    with f = 0 or with g = 0, the largest exponent (g_j - C_ij) / eps of a row, or
    (f_i - C_ij) / eps of a column, is at least -400: no sum of exponentials underflows.
    """
    if capability not in ("plan", "potentials", "value", "transport_cost"):
        return False
    alpha, beta = 400.0 * (np.arange(5) > 0), 400.0 * (np.arange(4) > 0)
    a, b = np.array([3.0, 2, 1, 1, 1]) / 8, np.array([1.0, 2, 3, 2]) / 8
    problem = alpha[:, None] + beta, a, b, 1.0
    due = np.asarray(right(*problem))
    return distance(capability, asked(trial, capability, problem, due), due) <= NEAR * trial.rate
