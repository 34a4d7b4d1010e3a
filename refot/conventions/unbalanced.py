"""Conversions between refot's unbalanced problems and those of the libraries of the table.

Two facts are all that they need. A problem with the cost t C, t eps and t rho has the same plan as
that with C, eps and rho, and t times its value; tau = rho/(rho + eps) is the same for both. And a
problem that has eps sum P (log P - 1) in place of eps KL(P | a b') has the same plan if its cost is
C_ij - eps log a_i - eps log b_j in place of C_ij; its value is then lower by eps m_a m_b, where m_a
and m_b are the totals of a and b.

U is the value of an unbalanced problem, U-1 of docs/equations.md.
refot/conventions/table_unbalanced.py holds the table, unbalanced_terms.py defines its terms. Each
conversion is exact; one that does not exist raises ConversionError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    InputError,
    Potential,
    ShapeError,
    Weights,
    as_number,
    as_positive,
    as_vector,
    lookup,
)
from refot.conventions.convert import (
    CONVENTIONS,
    Convention,
    ConversionError,
    convention,
    eps_from_refot,
    problem_to_refot,
)
from refot.conventions.table_unbalanced import UNBALANCED_CONVENTIONS
from refot.conventions.unbalanced_terms import (
    Reference,
    RhoParameter,
    UnbalancedConvention,
    UnbalancedPotentials,
    UnbalancedValue,
)

__all__ = [
    "UNBALANCED_CONVENTIONS",
    "Reference",
    "RhoParameter",
    "UnbalancedConvention",
    "UnbalancedParameters",
    "UnbalancedPotentials",
    "UnbalancedValue",
    "balanced_row",
    "declared_name",
    "parameter_from_rho",
    "parameters_from_refot",
    "rho_from_parameter",
    "rho_to_refot",
    "their_cost_matrix",
    "unbalanced_convention",
    "unbalanced_potentials_to_refot",
    "unbalanced_value_to_refot",
]


def unbalanced_convention(name: str | UnbalancedConvention) -> UnbalancedConvention:
    """The row of the table with that name. A row itself is returned unchanged. Raises
    UnknownNameError."""
    if isinstance(name, UnbalancedConvention):
        return name
    found: UnbalancedConvention = lookup(UNBALANCED_CONVENTIONS, name, "convention")
    return found


def declared_name(declared: str | Convention | UnbalancedConvention) -> str:
    """The name of a convention of the balanced or the unbalanced table, from the convention itself
    or from its name. Raises UnknownNameError where no table has that name."""
    if isinstance(declared, Convention | UnbalancedConvention):
        return declared.name
    lookup(UNBALANCED_CONVENTIONS | CONVENTIONS, declared, "convention")
    return declared


def balanced_row(name: str) -> Convention:
    """The row of the balanced table with that name; for a name of the unbalanced table alone, the
    row of the same call for balanced problems."""
    known = name in UNBALANCED_CONVENTIONS and name not in CONVENTIONS
    return convention(UNBALANCED_CONVENTIONS[name].balanced if known else name)


# ------------------------------------------------------------------ rho
def _of_tau(tau: float, eps: float) -> float:
    """rho from tau = rho/(rho + eps). Raises InputError for tau >= 1."""
    if tau >= 1:
        raise InputError("tau", f"{tau}", "a number > 0 and < 1; 1 is balanced transport")
    return eps * tau / (1 - tau)


_OfTwo: TypeAlias = Callable[[float, float], float]

# For each meaning of the parameter: the functions (parameter, eps) -> rho, and (rho, eps) back.
_RHO: dict[RhoParameter, tuple[_OfTwo, _OfTwo]] = {
    RhoParameter.RHO: (lambda x, eps: x, lambda rho, eps: rho),
    RhoParameter.TAU: (_of_tau, lambda rho, eps: rho / (rho + eps)),
    RhoParameter.REACH_SQUARED: (lambda x, eps: x**2, lambda rho, eps: rho**0.5),
    RhoParameter.TWICE_REACH_SQUARED: (lambda x, eps: 2 * x**2, lambda rho, eps: (rho / 2) ** 0.5),
}


def rho_from_parameter(name: str | UnbalancedConvention, parameter: float, eps: float) -> float:
    """The rho that a call means by its parameter. rho and eps are in units of the call's own
    cost."""
    called = unbalanced_convention(name)
    to_rho, _ = _RHO[called.rho]
    return to_rho(as_positive(parameter, called.parameter), as_positive(eps, "eps"))


def parameter_from_rho(name: str | UnbalancedConvention, rho: float, eps: float) -> float:
    """The parameter by which a call means this rho. rho and eps are in units of the call's own
    cost."""
    _, from_rho = _RHO[unbalanced_convention(name).rho]
    return from_rho(as_positive(rho, "rho"), as_positive(eps, "eps"))


@dataclass(frozen=True)
class UnbalancedParameters:
    """What to call a library with: its parameter for eps and its parameter for rho. The library's
    cost, values, divergences and potentials in density form are `scale` times refot's."""

    eps: float
    rho: float
    scale: float


def parameters_from_refot(
    name: str | UnbalancedConvention, eps: float, rho: float, cost: str | None = None
) -> UnbalancedParameters:
    """The parameters by which a call solves the problem that refot solves at eps and rho.

    `cost` is a name among the costs of the row of the balanced table, by default its first.
    """
    called = unbalanced_convention(name)
    theirs = eps_from_refot(called.balanced, eps, cost)
    scale = problem_to_refot(called.balanced, theirs, cost).scale
    t = as_positive(rho, "rho") * scale
    return UnbalancedParameters(theirs, parameter_from_rho(called, t, eps * scale), scale)


def rho_to_refot(
    name: str | UnbalancedConvention, parameter: float, eps_parameter: float,
    cost: str | None = None,
) -> tuple[float, float]:
    """(rho, eps) of refot, in units of refot's ground cost, for a call with its parameter for rho
    and its parameter for eps."""
    called = unbalanced_convention(name)
    solved = problem_to_refot(called.balanced, eps_parameter, cost)
    rho = rho_from_parameter(called, parameter, solved.scale * solved.eps)
    return rho / solved.scale, solved.eps


# ------------------------------------------------------------------ the reference of KL
def their_cost_matrix(
    name: str | UnbalancedConvention, C: Array, a: Weights, b: Weights, eps: float
) -> Array:
    """The cost (n, m) on which a call has the plan of refot's problem with the cost C.

    C itself, where the call's KL compares P with a b'. Where it compares P with 1, eps log a_i +
    eps log b_j is subtracted from C; for an atom without mass, which has no log, nothing is.
    """
    called = unbalanced_convention(name)
    if called.reference is Reference.PRODUCT:
        return C
    log_a, log_b = (np.log(np.where(w > 0, w, 1)) for w in (as_vector(a, len(a), "a"),
                                                            as_vector(b, len(b), "b")))
    shifted: Array = C - eps * (log_a[:, None] + log_b)
    return shifted.astype(C.dtype)


# ------------------------------------------------------------------ values
def unbalanced_value_to_refot(
    name: str | UnbalancedConvention, value: float, *, a: Weights, b: Weights, eps: float,
    beside: float | None = None,
) -> float:
    """U from the value that a call returns on the cost of `their_cost_matrix`, in units of that
    cost.

    For a call that returns the sharp value, `beside` = U - <C,P> is needed, which the masses do not
    determine. Raises
    ConversionError where it is missing, and where U does not follow from the value.
    """
    called, number = unbalanced_convention(name), as_number(value, "value")
    m_a, m_b = (float(np.sum(as_vector(w, len(w), side))) for w, side in ((a, "a"), (b, "b")))
    match called.value:
        case UnbalancedValue.FULL:
            product = called.reference is Reference.PRODUCT
            return number if product else number + eps * m_a * m_b
        case UnbalancedValue.UNIT_MASSES:
            return number + eps * (m_a * m_b - (m_a + m_b) / 2)
        case UnbalancedValue.SHARP:
            if beside is None:
                raise ConversionError("the sharp value <C,P> differs from U by eps KL and both "
                                      "penalties, which the masses do not determine: give beside")
            return number + as_number(beside, "beside")
        case UnbalancedValue.WITHOUT_MASSES:
            raise ConversionError("without the mass terms of KL the value is 0 at every optimum")
        case UnbalancedValue.NONE:
            raise ConversionError(f"{called.call} returns a plan and no value")


# ------------------------------------------------------------------ potentials
def unbalanced_potentials_to_refot(
    name: str | UnbalancedConvention, f: Potential, g: Potential, a: Weights, b: Weights, eps: float
) -> tuple[Array, Array]:
    """(f (n,), g (m,)) in density form, from what a call returns on `their_cost_matrix`.

    eps is in units of that cost. A call of the plain form returns f + eps log a. Where a_i = 0 this
    does not determine f_i, and the result is infinite or NaN. Raises ConversionError.
    """
    called = unbalanced_convention(name)
    f, g = np.asarray(f, dtype=np.float64), np.asarray(g, dtype=np.float64)
    if f.shape != np.shape(a) or g.shape != np.shape(b):
        raise ShapeError("f", f"{f.shape} and g {g.shape}", f"{np.shape(a)} and {np.shape(b)}")
    match called.potentials:
        case UnbalancedPotentials.DENSITY:
            return f, g
        case UnbalancedPotentials.LOG_DENSITY:
            return eps * f, eps * g
        case UnbalancedPotentials.PLAIN if called.reference is Reference.ONES:
            return f, g  # `their_cost_matrix` has put the weights into the cost already
        case UnbalancedPotentials.PLAIN:
            with np.errstate(divide="ignore", invalid="ignore"):
                return f - eps * np.log(a), g - eps * np.log(b)
        case UnbalancedPotentials.NONE:
            raise ConversionError(f"{called.call} returns no potentials")

