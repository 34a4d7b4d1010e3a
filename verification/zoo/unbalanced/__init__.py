"""The zoo of unbalanced transport: solvers that are right, subjects made of them, and bugs.

A problem is (C, a, b, eps, rho), with masses a and b of any totals m_a and m_b; m(P) is the total
of a plan P. The value U (U-1 of docs/equations.md) is the least value over all P >= 0 of
<C,P> + eps KL(P | a(x)b) + rho KL(P1 | a) + rho KL(P'1 | b). The two last terms are the
*penalties*, and the part -p + q of KL(p | q) = sum p log(p / q) - p + q is called its *mass terms*.
*Damping* is the multiplication of a softmin by rho / (rho + eps) in an update. POT and OTT compare
the plan with ones in place of a(x)b ("KL to 1"). tau, reach and blur are parameters of libraries:
tau = rho / (rho + eps), reach^2 = rho, blur^2 = eps."""

from refot.verification.zoo.unbalanced import (
    bugs_divergences,
    bugs_loops,
    bugs_plans,
    bugs_values,
    right,
    right_conventions,
)

__all__ = ["bugs_divergences", "bugs_loops", "bugs_plans", "bugs_values", "right",
           "right_conventions"]
