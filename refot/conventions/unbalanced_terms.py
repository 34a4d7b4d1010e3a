"""The terms for conventions of unbalanced transport: what a call means by rho, KL and its value.

U is the value U-1 of docs/equations.md, with the plan P: <C,P> + eps KL(P | a b') + rho KL(P1 | a)
+ rho KL(P'1 | b), where KL(p | q) = sum p log(p/q) - p + q. m_a and m_b are the totals of the
masses a and b.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from refot.conventions.terms import Evidence


class RhoParameter(StrEnum):
    """How rho, in units of the call's own cost, follows from the parameter that the call takes."""

    RHO = "rho"
    TAU = "tau = rho/(rho + eps)"
    REACH_SQUARED = "rho = reach^2"
    TWICE_REACH_SQUARED = "rho = 2 reach^2"


class Reference(StrEnum):
    """The measure r in eps KL(P | r), with which the plan is compared."""

    PRODUCT = "a b'"
    """KL(P | a b'): refot, Chizat et al. 2018, Séjourné et al. 2019."""
    ONES = "1"
    """sum P (log P - 1), "entropy". In balanced transport the plan is the same as with a b'; here
    it is another one."""


class UnbalancedValue(StrEnum):
    """Which number is called the value, for the optimal plan P."""

    FULL = "U"
    """U of U-1; with the reference ONES, U with eps sum P (log P - 1) in place of eps KL(P | a b').
    """
    SHARP = "sharp"
    """<C, P>."""
    WITHOUT_MASSES = "without mass terms"
    """U with sum p log(p/q) in place of each KL: it is 0 at every optimum, so that U cannot be
    recovered."""
    UNIT_MASSES = "U for masses 1"
    """U + eps (m_a + m_b)/2 - eps m_a m_b. It equals U where both masses are 1."""
    NONE = "plan only"


class UnbalancedPotentials(StrEnum):
    """How the plan follows from the two vectors that are returned."""

    DENSITY = "density"
    """P_ij = a_i b_j exp((f_i + g_j - C_ij)/eps): refot, GeomLoss."""
    PLAIN = "plain"
    """P_ij = exp((f_i + g_j - C_ij)/eps), no weights: OTT."""
    LOG_DENSITY = "log density"
    """P_ij = r_ij exp(u_i + v_j - C_ij/eps), with the reference r of KL: POT's logu, logv."""
    NONE = "none"


@dataclass(frozen=True, kw_only=True)
class UnbalancedConvention:
    """What one call of one library means by an unbalanced problem and its answer.

    `balanced` names the row of `refot.conventions.table` that describes the same call for balanced
    problems; what it says about eps and costs holds here, too. `bias` says whether the divergence
    that the call returns has the term eps/2 (m_a - m_b)^2, the mass bias; None where the call
    returns no divergence.
    """

    name: str
    balanced: str
    library: str
    call: str
    version: str
    checked: Evidence
    parameter: str
    rho: RhoParameter = RhoParameter.RHO
    reference: Reference = Reference.PRODUCT
    value: UnbalancedValue = UnbalancedValue.FULL
    potentials: UnbalancedPotentials = UnbalancedPotentials.NONE
    bias: bool | None = None
    note: str = ""
    source: str
