"""One unbalanced value U(x, a, y, b) at its optimal potentials: U-1, U-7.

Its marginals may be missed at a price, and a and b may have any mass. So from gradients in a and b
no mean is subtracted. U-1, U-2 and U-7 are equations of docs/equations.md.
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
        """dU/da, (n,), with its constant, which matters here. U-7."""
        return weights_at(self.p, self.f, self.g)

    def gradient_weights(self) -> Array:
        """dU/da, (n,)."""
        return self.slope()

    def weights_direction(self, va: Array) -> Array:
        """va itself: the mass may change."""
        return va

    def weights_change(self, steeper: Array, vb: Array) -> Array:
        """How dU/da (n,) changes: by `steeper` (n,), which comes from the change of f; and since U
        has the term eps m_a m_b, also by eps times the change of m_b, which is the sum of vb (m,).
        """
        return steeper + self.p.eps * vb.sum()

    @property
    def softness(self) -> float:
        """1 / rho of the rows. Raises InputError for total variation, which has kinks."""
        if not self.p.is_smooth:
            raise InputError("penalty", "'tv', which has no second derivative", "'kl'")
        return self.p.rows.softness


def solved_free_term(p: UnbalancedProblem, tol: float | None, warm: Near = None
                     ) -> tuple[FreeTerm, SinkhornResult]:
    """(the term of a problem, its solution). It is solved to `tol`, by default that of
    `unbalanced.tight`, from `warm`, the solution of a nearby problem, if there is one. Warns as
    `solve` does."""
    found = tightly(replace(p, C=kept(p.backend, p.C)), tol, warm=warm)
    return FreeTerm(p, found.f, found.g), replace(found, problem=p)


def solved_free_self(p: UnbalancedProblem, tol: float | None, warm: Near = None
                     ) -> tuple[FreeTerm, SinkhornResult]:
    """The same for a measure and itself, whose potentials are equal: the mean of both is taken."""
    term, found = solved_free_term(p, tol, warm)
    f = (term.f + term.g) / 2
    return FreeTerm(p, f, f), found
