"""One unbalanced value U(x, a, y, b) at its optimal potentials: U-1, U-7.

Its marginals may be missed at a price, and its masses are free: gradients in them are not centred.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from refot.arrays import Array, InputError
from refot.autodiff.term import Term
from refot.solvers.answers.solutions import Near
from refot.solvers.loop import SinkhornResult
from refot.solvers.memory import kept
from refot.unbalanced.gradients import weights_at
from refot.unbalanced.tight import tightly
from refot.unbalanced_problem import UnbalancedProblem


@dataclass(frozen=True)
class FreeTerm(Term):
    """The problem of an unbalanced value, and its optimal potentials."""

    p: UnbalancedProblem

    def value(self) -> float:
        """U, as the dual of the potentials, in cost units. U-2."""
        return self.p.dual(self.f, self.g, float(self.p.row_sums(self.f, self.g).sum()))

    def slope(self) -> Array:
        """dU/da, (n,): its constant counts too. U-7."""
        return weights_at(self.p, self.f, self.g)

    def gradient_weights(self) -> Array:
        """dU/da, (n,)."""
        return self.slope()

    def weights_direction(self, va: Array) -> Array:
        """va itself: the mass may change."""
        return va

    def weights_change(self, steeper: Array, vb: Array) -> Array:
        """With m_b, eps times the mass of a, the slope in each a_i rises."""
        return steeper + self.p.eps * vb.sum()

    @property
    def softness(self) -> float:
        """1 / rho. Raises InputError for total variation, which has kinks."""
        if not self.p.is_smooth:
            raise InputError("penalty", "'tv', which has no second derivative", "'kl'")
        return self.p.rows.softness


def solved_free_term(p: UnbalancedProblem, tol: float | None, warm: Near = None
                     ) -> tuple[FreeTerm, SinkhornResult]:
    """The term of a problem, and its solution to `tol`, by default to that of `unbalanced.tight`,
    started from that of a problem nearby, if there is one. Warns as `solve` does."""
    found = tightly(replace(p, C=kept(p.backend, p.C)), tol, warm=warm)
    return FreeTerm(p, found.f, found.g), replace(found, problem=p)


def solved_free_self(p: UnbalancedProblem, tol: float | None, warm: Near = None
                     ) -> tuple[FreeTerm, SinkhornResult]:
    """That of a measure and itself, whose potentials are one: the mean of those found."""
    term, found = solved_free_term(p, tol, warm)
    f = (term.f + term.g) / 2
    return FreeTerm(p, f, f), found
