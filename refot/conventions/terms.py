"""The words in which a convention is told apart: small independent fields, each with its formula.

"The value", "eps", "the potentials", "the divergence" name different numbers in different papers
and libraries. Symbols are those of docs/notation.md: a, b probability weights, C cost, P plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from refot.arrays import lookup


class ValueKind(StrEnum):
    """What number is called the value, for a converged plan P of probability weights a, b."""

    KL = "KL"
    """<C, P> + eps KL(P | a b'): F of B-10 and H-2, refot's value."""
    SHARP = "sharp"
    """<C, P>: G's W_{c,eps}, "the transport cost", "the linear value"."""
    ENTROPY = "entropy"
    """<C, P> - eps H(P): L, Cuturi 2013. It is KL - eps (H(a) + H(b)) (erratum L1)."""
    UNWEIGHTED_LSE = "unweighted LSE"
    """The semi-dual with log sum_j where uniform weights ask for log mean_j: KL - eps log m."""
    NEGATED_DUAL = "negated dual"
    """eps sum_ij exp((f_i + g_j - C_ij)/eps) - a.f - b.g, minimised: eps - ENTROPY."""


class Divergence(StrEnum):
    """How three values of one kind make a divergence; W stands for that kind of value."""

    NONE = "none"
    HALVES = "halves"
    """W_xy - W_xx/2 - W_yy/2: B-9, refot's S."""
    HALVES_CLAMPED = "halves, clamped"
    """max(0, W_xy - W_xx/2 - W_yy/2)."""
    TWICE = "twice"
    """2 W_xy - W_xx - W_yy: G-4."""


class EpsParameter(StrEnum):
    """How eps (in units of their cost) follows from the parameter that the call takes."""

    EPS = "eps"
    GAMMA = "1/eps"
    BLUR_SQUARED = "eps = blur^2"
    TWICE_BLUR_SQUARED = "eps = 2 blur^2"


class PotentialForm(StrEnum):
    """How the plan follows from the pair of vectors that is returned."""

    DENSITY = "density"
    """P_ij = a_i b_j exp((f_i + g_j - C_ij)/eps): refot, B-15, GeomLoss."""
    PLAIN = "plain"
    """P_ij = exp((f_i + g_j - C_ij)/eps), no weights: OTT."""
    LOG_SCALING = "log scaling"
    """P_ij = exp(u_i + v_j - C_ij/eps), no unit."""
    SCALING = "scaling"
    """P_ij = u_i exp(-C_ij/eps) v_j: G-7."""
    DEBIASED = "debiased"
    """f - p, g - q with p, q the symmetric potentials of (x,x), (y,y): P cannot be recovered."""
    NONE = "none"


class Evidence(StrEnum):
    """How an entry was established."""

    RUN = "run"
    READ = "read"


@dataclass(frozen=True)
class TheirCost:
    """A cost by the name that the call gives it: `scale` times refot's `ground` cost.

    `ground` is None for a matrix taken as it is. `scale` is None where it depends on the data, and
    must then be given to each conversion.
    """

    name: str
    ground: str | None
    scale: float | None = 1.0


@dataclass(frozen=True, kw_only=True)
class Convention:
    """What one call of one library, or one paper, means by its inputs and outputs.

    `value` is None where only a plan is returned. `divergence` is how values make one; the call
    itself returns it where `returns_divergence`, and one of the values where not. The first of
    `costs` is the default of the call.
    `defaults` are those of the callable `defaults_of` ("module:attribute").
    """

    name: str
    library: str
    call: str
    version: str
    checked: Evidence
    value: ValueKind | None
    costs: tuple[TheirCost, ...]
    parameter: str
    eps: EpsParameter = EpsParameter.EPS
    divergence: Divergence = Divergence.NONE
    potentials: PotentialForm = PotentialForm.NONE
    stopping: str
    defaults_of: str = ""
    defaults: Mapping[str, object] = field(default_factory=dict, hash=False)
    note: str = ""
    source: str
    returns_divergence: bool = False


class ConversionError(ValueError):
    """A conversion that does not exist, or that needs more than was given; says what."""


Term = TypeVar("Term", bound=StrEnum)


def as_term(kind: type[Term], value: str | StrEnum, name: str) -> Term:
    """`value`, a member of `kind` or its string, as the member. Raises UnknownNameError."""
    member: Term = lookup({str(each): each for each in kind}, str(value), name)
    return member
