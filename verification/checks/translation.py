"""From refot's problem to the call of a subject with a declared convention, and back.

A subject that declares a convention is called with the parameter of that convention in place of
eps (blur, gamma), so that it solves the problem that was meant on its own cost; what it answers is
divided by the scale of that cost and converted to refot's definitions. A matrix is taken as it is.
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
    """The arguments with which a subject of the convention of that name solves the problem that
    these arguments mean."""
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
    """Their cost in units of refot's ground cost of that name; 1 for a matrix (None).

    Raises NotOfferedError where the convention does not say: then nothing can be compared.
    """
    if cost is None:
        return 1.0
    scales = [each.scale for each in called.costs if each.ground == cost]
    if not scales and all(each.scale == 1.0 for each in called.costs):
        return 1.0  # a convention that scales no cost scales none that it does not name
    if not scales or scales[0] is None:
        raise NotOfferedError(f"the convention {called.name} says no scale of the cost {cost!r}")
    return scales[0]


# ------------------------------------------------------------------ answers
def value_from_subject(called: Convention, answer: float, *problem: Any) -> float:
    """F from the answer to `value(C, a, b, eps)`; a number that is not finite stays as it is."""
    if called.value in (None, ValueKind.KL) or not math.isfinite(answer):
        return answer
    found = solution(*problem)
    kl = found.kl if called.value is ValueKind.SHARP else None
    return value_to_refot(answer, called.value, a=found.a, b=found.b, eps=problem[3], kl=kl)


def potentials_from_subject(
    called: Convention, answer: tuple[Array, Array], *problem: Any
) -> tuple[Array, Array]:
    """(f, g) in density form from the answer to `potentials(C, a, b, eps)`.

    Raises SubjectError where the answer is none in its convention, as a scaling below 0.
    """
    (f, g), (_, a, b, eps) = answer, problem
    finite = bool(np.isfinite(f[a > 0]).all() and np.isfinite(g[b > 0]).all())
    if called.potentials in (PotentialForm.NONE, PotentialForm.DENSITY) or not finite:
        return f, g
    found = solution(*problem)
    try:
        return potentials_to_refot(f, g, called.potentials, found.a, found.b, eps, C=found.C)
    except InputError as error:
        raise SubjectError(f"returned what the convention {called.name} has not: {error}") from None


def divergence_from_subject(called: Convention, answer: float, *clouds: Any) -> float:
    """S of B-9 from the answer to `divergence(x, a, y, b, eps, cost)`.

    A divergence of the clamped kind answers 0 for everything below: it stands for the right number
    where that is below 0, and for 0 where it is not.
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
    if form is Divergence.HALVES_CLAMPED and answer <= 0:
        S = xy.F - xx.F / 2 - yy.F / 2
        right = divergence_from_refot(S, Divergence.HALVES, kind, **given)
        return divergence_to_refot(min(0.0, right), Divergence.HALVES, kind, **given)
    return divergence_to_refot(answer, form, kind, **given)


def divergence_gradient_from_subject(called: Convention, answer: Array, *clouds: Any) -> Array:
    """dS/dx from the answer to `divergence_gradient(...)`. Raises NotOfferedError.

    The entropies of the weights do not depend on x, so that entropy values have the same gradient.
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
"""The answers that differ between conventions. A plan and its cost are the same in all of them."""


def from_subject(name: str, capability: str, answer: Any, arguments: tuple[Any, ...]) -> Any:
    """The answer in refot's convention to a call with these arguments, which are refot's."""
    if CAPABILITIES[capability].is_unbalanced:
        return unbalanced.from_subject(name, capability, answer, arguments)
    convert = FROM_SUBJECT.get(capability)
    return answer if convert is None else convert(balanced_row(name), answer, *arguments)
