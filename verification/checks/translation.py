"""Translation between refot's convention and the one that a subject declares.

In a call, eps is replaced by the parameter of that convention (blur, gamma) for which the subject,
with its own ground cost, solves the same problem. The answer is divided by the scale of that cost
(how many times refot's it is), and converted to refot's definitions. A cost matrix is passed on as
it is.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array, InputError
from refot.conventions.convert import (
    Convention,
    Divergence,
    PotentialForm,
    ValueKind,
    divergence_from_refot,
    divergence_to_refot,
    parameter_from_eps,
    potentials_to_refot,
    value_to_refot,
)
from refot.conventions.unbalanced import balanced_row
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.probe import NotOfferedError, SubjectError
from refot.verification.truth.solution import point_solutions, solution

from . import unbalanced_translation as unbalanced


def to_subject(name: str, capability: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with which the subject, in the convention `name`, solves the problem that
    `arguments` are in refot's convention."""
    record = CAPABILITIES[capability]
    if not record.is_translated:
        return arguments
    if record.is_unbalanced:
        return unbalanced.to_subject(name, capability, arguments)
    called = balanced_row(name)
    named = record.named(arguments)
    eps = named["eps"] * scale_on(called, named.get("cost"))
    return tuple((named | {"eps": parameter_from_eps(called, eps)}).values())


def scale_on(called: Convention, cost: str | None) -> float:
    """The subject's ground cost divided by refot's cost of the name `cost`; 1 for a matrix, where
    `cost` is None.

    Raises NotOfferedError if the convention does not say it, because then nothing can be compared.
    """
    if cost is None:
        return 1.0
    scales = [each.scale for each in called.costs if each.ground == cost]
    if not scales and all(each.scale == 1.0 for each in called.costs):
        return 1.0  # all costs that it names are unscaled, so one that it does not name is, too
    if not scales or scales[0] is None:
        raise NotOfferedError(f"the convention {called.name} says no scale of the cost {cost!r}")
    return scales[0]


# ------------------------------------------------------------------ answers
def value_from_subject(called: Convention, answer: float, *problem: Any) -> float:
    """F from the answer to `value(C, a, b, eps)`. A number that is not finite stays as it is."""
    if called.value in (None, ValueKind.KL) or not math.isfinite(answer):
        return answer
    found = solution(*problem)
    kl = found.kl if called.value is ValueKind.SHARP else None
    return value_to_refot(answer, called.value, a=found.a, b=found.b, eps=problem[3], kl=kl)


def potentials_from_subject(
    called: Convention, answer: tuple[Array, Array], *problem: Any
) -> tuple[Array, Array]:
    """(f, g) in density form, P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), from the answer to
    `potentials(C, a, b, eps)`.

    Raises SubjectError for an answer that is impossible in the declared convention, such as a
    negative scaling.
    """
    (f, g), (_, a, b, eps) = answer, problem
    finite = bool(np.isfinite(f[a > 0]).all() and np.isfinite(g[b > 0]).all())
    if called.potentials in (PotentialForm.NONE, PotentialForm.DENSITY) or not finite:
        return f, g
    found = solution(*problem)
    try:
        return potentials_to_refot(f, g, called.potentials, found.a, found.b, eps, C=found.C)
    except InputError as error:
        raise SubjectError(
            f"returned what is impossible in the convention {called.name}: {error}") from None


def divergence_from_subject(called: Convention, answer: float, *clouds: Any) -> float:
    """S of B-9 from the answer to `divergence(x, a, y, b, eps, cost)`.

    Some conventions replace negative numbers by 0, which hides them. There an answer 0 is read as
    the right number if that is negative, and else as 0. Raises SubjectError for a negative answer
    in such a convention.
    """
    if not math.isfinite(answer):
        return answer
    kind, form, answer = called.value, called.divergence, answer / scale_on(called, clouds[5])
    if kind is None or form is Divergence.NONE or (
        kind is ValueKind.KL and form is Divergence.HALVES
    ):
        return answer
    xy, xx, yy = point_solutions(*clouds)
    given = {"a": xy.a, "b": xy.b, "eps": clouds[4],
             "kl": (xy.kl, xx.kl, yy.kl) if kind is ValueKind.SHARP else None}
    if form is Divergence.HALVES_CLAMPED and answer < 0:
        raise SubjectError(f"returned {answer:g}, but in the convention {called.name} no "
                           "divergence is negative")
    if form is Divergence.HALVES_CLAMPED and answer == 0:
        S = xy.F - xx.F / 2 - yy.F / 2
        right = divergence_from_refot(S, Divergence.HALVES, kind, **given)
        return divergence_to_refot(min(0.0, right), Divergence.HALVES, kind, **given)
    return divergence_to_refot(answer, form, kind, **given)


def divergence_gradient_from_subject(called: Convention, answer: Array, *clouds: Any) -> Array:
    """dS/dx (n, d) from the answer to `divergence_gradient(...)`.

    Values with an entropy in place of KL have the same gradient as S, because the entropies of the
    weights do not depend on x. Raises NotOfferedError for all other kinds of value.
    """
    if called.value not in (None, ValueKind.KL, ValueKind.ENTROPY):
        raise NotOfferedError(f"the gradient of {called.value} values is not that of S")
    twice = 2.0 if called.divergence is Divergence.TWICE else 1.0
    return answer / (twice * scale_on(called, clouds[5]))


FROM_SUBJECT: dict[str, Callable[..., Any]] = {
    "value": value_from_subject,
    "potentials": potentials_from_subject,
    "divergence": divergence_from_subject,
    "divergence_gradient": divergence_gradient_from_subject,
}
"""The conversion of each answer that differs between conventions. A plan and its transport cost do
not."""


def from_subject(name: str, capability: str, answer: Any, arguments: tuple[Any, ...]) -> Any:
    """An answer converted to refot's convention; `arguments` are those of the call, in refot's."""
    if CAPABILITIES[capability].is_unbalanced:
        return unbalanced.from_subject(name, capability, answer, arguments)
    convert = FROM_SUBJECT.get(capability)
    return answer if convert is None else convert(balanced_row(name), answer, *arguments)
