"""The terms in which conventions are described: enumerations with a formula for each member, and
the record of a convention, whose fields they are.

"The value", "eps", "the potentials" and "the divergence" are different numbers in different papers
and libraries. Symbols are those of docs/notation.md: a, b probability weights, C cost, P plan.
Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu
et al.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from refot.arrays import lookup


class ValueKind(StrEnum):
    """Which number is called the value, for the optimal plan P of probability weights a, b."""

    KL = "KL"
    """<C, P> + eps KL(P | a b'): F of B-10 and H-2, refot's value."""
    SHARP = "sharp"
    """<C, P>: W_{c,eps} of G; other names are "the transport cost" and "the linear value"."""
    ENTROPY = "entropy"
    """<C, P> - eps H(P): L, Cuturi 2013. It is KL - eps (H(a) + H(b)) (erratum L1)."""
    UNWEIGHTED_LSE = "unweighted LSE"
    """The semi-dual with a log-sum-exp (LSE) that leaves out the weights b_j = 1/m: for uniform
    weights it is KL - eps log m."""
    NEGATED_DUAL = "negated dual"
    """The minimum of eps sum_ij exp((f_i + g_j - C_ij)/eps) - a.f - b.g: it is eps - ENTROPY."""


class Divergence(StrEnum):
    """How a divergence is made of three values W of one kind."""

    NONE = "none"
    HALVES = "halves"
    """W_xy - W_xx/2 - W_yy/2: B-9, refot's S."""
    HALVES_CLAMPED = "halves, clamped"
    """max(0, W_xy - W_xx/2 - W_yy/2)."""
    TWICE = "twice"
    """2 W_xy - W_xx - W_yy: G-4."""


class EpsParameter(StrEnum):
    """How eps, in units of the call's own cost, follows from the parameter that the call takes."""

    EPS = "eps"
    GAMMA = "1/eps"
    BLUR_SQUARED = "eps = blur^2"
    TWICE_BLUR_SQUARED = "eps = 2 blur^2"


class PotentialForm(StrEnum):
    """How the plan follows from the two vectors that are returned."""

    DENSITY = "density"
    """P_ij = a_i b_j exp((f_i + g_j - C_ij)/eps): refot, B-15, GeomLoss."""
    PLAIN = "plain"
    """P_ij = exp((f_i + g_j - C_ij)/eps), no weights: OTT."""
    LOG_SCALING = "log scaling"
    """P_ij = exp(u_i + v_j - C_ij/eps), u and v without unit."""
    SCALING = "scaling"
    """P_ij = u_i exp(-C_ij/eps) v_j: G-7."""
    DEBIASED = "debiased"
    """f - p and g - q, where p and q are the potentials of (x,x) and (y,y): from these alone P
    cannot be recovered."""
    NONE = "none"


class Evidence(StrEnum):
    """How an entry of the table was found out."""

    RUN = "run"
    """A converged solve of that library was compared with refot's."""
    READ = "read"
    """The entry was taken from the library's documentation or source, or from the paper."""


@dataclass(frozen=True)
class TheirCost:
    """A cost under the name that the call gives it: `scale` times refot's cost `ground`.

    `ground` is None for a matrix that is taken as it is. `scale` is None if it depends on the data;
    it must then be given to each conversion.
    """

    name: str
    ground: str | None
    scale: float | None = 1.0


@dataclass(frozen=True, kw_only=True)
class Convention:
    """What one call of one library, or one paper, means by its inputs and outputs: a row of
    `refot.conventions.table`.

    `value` is None if only a plan is returned. `divergence` says how a divergence is made of
    values, and `returns_divergence` whether the call returns that divergence or one of the values.
    The first of `costs` is the default of the call. `defaults` are the default arguments of the
    callable `defaults_of` ("module:attribute").
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
    """A conversion that does not exist, or needs a number that was not given; it says which."""


Term = TypeVar("Term", bound=StrEnum)


def as_term(kind: type[Term], value: str | StrEnum, name: str) -> Term:
    """The member of `kind` that `value` is, or is the string of. Raises UnknownNameError."""
    member: Term = lookup({str(each): each for each in kind}, str(value), name)
    return member
