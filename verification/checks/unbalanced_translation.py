"""Translation of unbalanced problems between refot's convention and the one a subject declares.

The convention must say what rho means. Those of `refot.conventions.table_unbalanced` do; of the
balanced ones in `refot.conventions.table` only refot's own does. U-8 is an equation of
docs/equations.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array, InputError
from refot.conventions.convert import ConversionError, convention
from refot.conventions.unbalanced import (
    UNBALANCED_CONVENTIONS,
    Reference,
    UnbalancedConvention,
    UnbalancedPotentials,
    UnbalancedValue,
    parameters_from_refot,
    their_cost_matrix,
    unbalanced_potentials_to_refot,
    unbalanced_value_to_refot,
)
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.probe import NotOfferedError, SubjectError
from refot.verification.truth.unbalanced import unbalanced_solution

Arguments = tuple[Any, ...]


def _called(name: str) -> UnbalancedConvention:
    """The unbalanced convention of that name. Raises NotOfferedError if it is a balanced one."""
    if name not in UNBALANCED_CONVENTIONS:
        raise NotOfferedError(f"the convention {name} says nothing of rho")
    return UNBALANCED_CONVENTIONS[name]


def _their_cost(called: UnbalancedConvention, cost: str | None) -> str | None:
    """The convention's own name for refot's ground cost `cost`; None for a matrix."""
    theirs = [each for each in convention(called.balanced).costs if each.ground == cost]
    if cost is None:
        return None
    if not theirs:
        raise NotOfferedError(f"the convention {called.name} has no cost {cost!r}")
    return theirs[0].name


def _parameters(called: UnbalancedConvention, named: dict[str, Any]) -> Any:
    """The convention's parameters for eps and rho, and the scale of its ground cost.

    A cost matrix is passed on as it is. So for a matrix a cost of the convention whose scale is 1
    is taken.
    """
    if "cost" in named:
        return parameters_from_refot(called, named["eps"], named["rho"],
                                     _their_cost(called, named["cost"]))
    costs = convention(called.balanced).costs
    return parameters_from_refot(called, named["eps"], named["rho"],
                                 next((each.name for each in costs if each.scale == 1.0), None))


def to_subject(name: str, capability: str, arguments: Arguments) -> Arguments:
    """The arguments with which the subject, in the convention `name`, solves the problem that
    `arguments` are in refot's convention."""
    called = _called(name)
    if called.name == "refot":
        return arguments
    named = CAPABILITIES[capability].named(arguments)
    theirs = _parameters(called, named)
    if called.reference is Reference.ONES:
        if "C" not in named:
            raise NotOfferedError(f"the convention {called.name} has its KL relative to 1, not to "
                                  "a(x)b: that needs a changed cost matrix, and points have none")
        named["C"] = their_cost_matrix(called, named["C"], named["a"], named["b"], named["eps"])
    return tuple((named | {"eps": theirs.eps, "rho": theirs.rho}).values())


# ------------------------------------------------------------------ answers
def _value(called: UnbalancedConvention, answer: float, *problem: Any) -> float:
    t = unbalanced_solution(*problem)
    beside = t.U - t.sharp if called.value is UnbalancedValue.SHARP else None
    return unbalanced_value_to_refot(called, answer, a=t.a, b=t.b, eps=t.eps, beside=beside)


def _potentials(
    called: UnbalancedConvention, answer: tuple[Array, Array], *problem: Any
) -> tuple[Array, Array]:
    """(f, g) in refot's convention. Raises SubjectError for an answer that is impossible in the
    declared one."""
    t, (f, g) = unbalanced_solution(*problem), answer
    if called.potentials is UnbalancedPotentials.NONE:
        return f, g
    try:
        return unbalanced_potentials_to_refot(called, f, g, t.a, t.b, t.eps)
    except InputError as error:
        raise SubjectError(
            f"returned what is impossible in the convention {called.name}: {error}") from None


def _divergence(called: UnbalancedConvention, answer: float, *clouds: Any) -> float:
    """S of U-8. Raises NotOfferedError if the convention returns a value U, and no divergence."""
    if called.bias is None:
        raise NotOfferedError(f"the convention {called.name} returns no divergence")
    record = CAPABILITIES["unbalanced_divergence"]
    named = record.named(clouds)
    a, b = (np.asarray(named[side], dtype=np.float64).sum() for side in ("a", "b"))
    missing = 0.0 if called.bias else named["eps"] / 2 * float(a - b) ** 2
    return float(answer / _parameters(called, named).scale + missing)


def _gradient(called: UnbalancedConvention, answer: Array, *clouds: Any) -> Array:
    named = CAPABILITIES["unbalanced_divergence_gradient"].named(clouds)
    return answer / _parameters(called, named).scale


def _mass_gradient(called: UnbalancedConvention, answer: Array, *problem: Any) -> Array:
    """dU/da, the answer itself. Raises NotOfferedError for a convention with another value, or with
    a KL that is relative to another measure than a b': its gradient is another one."""
    if called.reference is not Reference.PRODUCT or called.value is not UnbalancedValue.FULL:
        raise NotOfferedError(f"the convention {called.name} has another value than U, whose "
                              "gradient is not dU/da")
    return answer


FROM_SUBJECT: dict[str, Callable[..., Any]] = {
    "unbalanced_value": _value, "unbalanced_potentials": _potentials,
    "unbalanced_divergence": _divergence, "unbalanced_divergence_gradient": _gradient,
    "unbalanced_mass_gradient": _mass_gradient,
}
"""The conversion of each answer that differs between conventions. A plan does not."""


def from_subject(name: str, capability: str, answer: Any, arguments: Arguments) -> Any:
    """The answer in refot's convention to a call with these arguments, which are refot's."""
    called, convert = _called(name), FROM_SUBJECT.get(capability)
    if called.name == "refot" or convert is None or _not_finite(answer):
        return answer
    try:
        return convert(called, answer, *arguments)
    except ConversionError as error:
        raise NotOfferedError(str(error)) from None


def _not_finite(answer: Any) -> bool:
    return isinstance(answer, float) and not math.isfinite(answer)
