"""The penalty of one side (the rows or the columns): an object for each of KL, TV, and an exact
marginal.

For an atom of weight w with the potential f,

- w gain(f) is its term in the dual (U-2): gain(f) = -D*(-f) with the conjugate D* of the penalty;
- w due(f), due = gain', is its marginal under the optimal plan (under TV only if |f| < rho);
- f = prox(s) is its best potential if s is its softmin (U-3).

U-2 and U-3 are equations of docs/equations.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from flint import arb


class Penalty(Protocol):
    """The penalty of one side, per unit of weight."""

    @property
    def stiffness(self) -> arb | None:
        """rho under KL, where the marginal due(f) varies smoothly with f; else None."""

    @property
    def limit(self) -> arb | None:
        """The largest |f| of a potential, None if there is none."""

    def prox(self, s: arb, eps: arb) -> arb:
        """The f that maximises gain(f) - eps exp((f - s) / eps): the best potential where the
        softmin is s."""

    def slope(self, s: arb, eps: arb) -> arb:
        """The derivative of prox in s."""

    def gain(self, f: arb) -> arb:
        """The dual's term of an atom, per unit of its weight."""

    def due(self, f: arb) -> arb:
        """The derivative of gain: the marginal that an optimal plan has, per unit of weight."""

    def curvature(self, f: arb) -> arb:
        """-gain''(f), which is >= 0, since the dual is concave."""

    def paid(self, p: arb, w: arb) -> arb:
        """The primal's term of an atom of weight w that has the marginal p > 0."""

    def change(self, p: arb, w: arb) -> arb:
        """The derivative of `paid` in rho."""


@dataclass(frozen=True)
class KL:
    """The penalty rho KL(p | w) = rho sum (p log(p/w) - p + w) of a marginal p against weights
    w."""

    rho: arb
    limit: None = None

    @property
    def stiffness(self) -> arb:
        return self.rho

    def prox(self, s: arb, eps: arb) -> arb:
        return self.slope(s, eps) * s

    def slope(self, s: arb, eps: arb) -> arb:
        return self.rho / (self.rho + eps)

    def gain(self, f: arb) -> arb:
        return -self.rho * (-f / self.rho).expm1()

    def due(self, f: arb) -> arb:
        return (-f / self.rho).exp()

    def curvature(self, f: arb) -> arb:
        return (-f / self.rho).exp() / self.rho

    def paid(self, p: arb, w: arb) -> arb:
        return self.rho * self.change(p, w)

    def change(self, p: arb, w: arb) -> arb:
        return p * (p / w).log() - p + w


@dataclass(frozen=True)
class TV:
    """The penalty rho sum |p - w| of a marginal p against weights w. The best potentials lie
    between -rho and rho."""

    rho: arb
    stiffness: None = None

    @property
    def limit(self) -> arb:
        return self.rho

    def prox(self, s: arb, eps: arb) -> arb:
        return s.min(self.rho).max(-self.rho)

    def slope(self, s: arb, eps: arb) -> arb:
        return arb(int(abs(s.mid()) < self.rho.mid()))

    def gain(self, f: arb) -> arb:
        """min(f, rho), and -infinity below -rho."""
        return arb("-inf") if f < -self.rho else f.min(self.rho)

    def due(self, f: arb) -> arb:
        return arb(1)

    def curvature(self, f: arb) -> arb:
        return arb(0)

    def paid(self, p: arb, w: arb) -> arb:
        return self.rho * self.change(p, w)

    def change(self, p: arb, w: arb) -> arb:
        return abs(p - w)


@dataclass(frozen=True)
class Exact:
    """The marginal is exact, p = w. Every plan whose potentials on this side are transforms of the
    other side's satisfies that, so that the primal has no term for it."""

    stiffness: None = None
    limit: None = None

    def prox(self, s: arb, eps: arb) -> arb:
        return s

    def slope(self, s: arb, eps: arb) -> arb:
        return arb(1)

    def gain(self, f: arb) -> arb:
        return f

    def due(self, f: arb) -> arb:
        return arb(1)

    def curvature(self, f: arb) -> arb:
        return arb(0)

    def paid(self, p: arb, w: arb) -> arb:
        return arb(0)

    def change(self, p: arb, w: arb) -> arb:
        return arb(0)
