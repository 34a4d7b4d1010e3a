"""One object with several capabilities: log-scalings, the sharp cost and an entropic value."""

import numpy as np
from sinkhorn_4 import solve


class Undeclared:
    name, version = "my OT", "0.1"

    def potentials(self, C, a, b, eps):
        """(u, v) with P_ij = exp(u_i + v_j - C_ij / eps)."""
        f, g, _ = solve(C, a, b, eps)
        with np.errstate(divide="ignore"):  # log 0 = -inf is meant
            return f / eps + np.log(a), g / eps + np.log(b)

    def transport_cost(self, C, a, b, eps):
        """<C, P>."""
        return (solve(C, a, b, eps)[2] * C).sum()

    def value(self, C, a, b, eps):
        """<C, P> - eps H(P)."""
        P = solve(C, a, b, eps)[2]
        return (P * (C + eps * np.log(np.where(P > 0, P, 1)))).sum()


class MyOT(Undeclared):
    convention = "pot.solve(entropy)"
