"""Problems with informative codes, for the tests of the objective B-19 and of its minimal plan."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from strategies import Case, matrix_cases, multiples

import refot
from refot.information import code_weights, informative_objective, sum_noise
from refot.informative_plans import IllPosedWarning, solve_informative

STEP = 1e-8
"""The tolerance of the solves here; the Sinkhorn solves inside them have a tenth of it."""


@dataclass(frozen=True)
class Informative:
    """A problem with the codes of its rows and a weight lam."""

    case: Case
    lam: float
    codes: Any

    @property
    def arguments(self):
        return (*self.case.dense, self.lam, self.codes)

    @property
    def n_codes(self):
        return int(self.codes.max()) + 1

    @property
    def zeta1(self):
        return code_weights(self.case.a, self.codes, self.n_codes)

    @property
    def product(self):
        return np.outer(self.zeta1, self.case.b)

    def joint(self, P):
        return sum_noise(P, self.codes, self.n_codes)

    def J(self, P):
        return informative_objective(P, *self.arguments)

    def solve(self, **options):
        """The solution to the tolerance STEP, without the warning for lam > eps."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IllPosedWarning)
            return solve_informative(*self.arguments, tol=STEP, **options)

    def slack(self, *potentials):
        """By how much a marginal error of STEP / 10 on both sides may change J, plus rounding.

        F has the gradients f and g (up to constants) in the marginals. Each KL has the logarithms
        of its ratios as gradient, which are at most log(33^2) = 7 wherever there is relevant mass.
        """
        spread = sum(np.ptp(h) for h in potentials) + 7 * (self.case.eps + self.lam)
        return 4 * STEP / 10 * spread + self.case.rounding(*potentials)


@st.composite
def informative(draw, ratios=(0, 0.25, 0.75, 1, 1.5, 4, 16)):
    """A problem of eps >= osc(C) / 16 with lam / eps from `ratios`, and up to three codes."""
    case = draw(matrix_cases())
    case = replace(case, eps=max(case.eps, case.osc / 16))
    n = case.a.size
    codes = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    return Informative(case, draw(st.sampled_from(ratios)) * case.eps, codes)


@st.composite
def with_plan(draw, **options):
    """An informative problem and any feasible plan, zero entries included."""
    drawn = draw(informative(**options))
    n, m = drawn.case.C.shape
    P = refot.round_to_marginals(draw(multiples((n, m), 0, 4, 1 / 16)), drawn.case.a, drawn.case.b)
    return drawn, P


