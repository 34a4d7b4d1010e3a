"""What the verifier takes for the truth of an unbalanced problem lies in 30-digit enclosures."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb

from refot.verification.cases.case import Case, synthetic
from refot.verification.cases.unbalanced import unbalanced, unbalanced_clouds
from refot.verification.enclosures.precision import leaves
from refot.verification.enclosures.unbalanced.divergences import (
    enclose_unbalanced_divergence,
    enclose_unbalanced_divergence_gradient,
)
from refot.verification.enclosures.unbalanced.enclose import enclose_unbalanced
from refot.verification.enclosures.unbalanced.gradients import enclose_unbalanced_weights_gradient
from refot.verification.truth.unbalanced import unbalanced_solution
from refot.verification.truth.unbalanced_right import (
    divergence_interval,
    right_unbalanced_gradient,
)

SMALL = [case for case in synthetic() if case.C.size <= 600 and not case.single]
NEAR = 1e-8
"""By this share of the largest entry, plans and gradients may be off: a hundredth of what is
allowed to a subject."""


def of(x: object) -> np.ndarray:
    return np.array([float(t) for t in leaves(x)])


def assert_near(found: np.ndarray, exact: np.ndarray) -> None:
    assert abs(found.ravel() - exact).max() <= NEAR * abs(exact).max()


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_values_plans_and_gradients_of_a_matrix(case: Case) -> None:
    given = unbalanced(case)
    truth, exact = unbalanced_solution(*given), enclose_unbalanced(*given)
    assert arb(truth.value.lower) <= exact.value <= arb(truth.value.upper)
    assert_near(truth.plan, of(exact.plan))
    in_a, _ = enclose_unbalanced_weights_gradient(*given)
    assert_near(truth.mass_gradient, of(in_a))
    has_mass = truth.a > 0
    assert_near(truth.f[has_mass], of(exact.potentials[0])[has_mass])


@pytest.mark.parametrize("case", [case for case in SMALL if case.has_points and case.C.size <= 150],
                         ids=lambda case: case.name)
def test_divergences_and_their_gradients(case: Case) -> None:
    given = unbalanced_clouds(case)
    S, found = enclose_unbalanced_divergence(*given), divergence_interval(*given)
    assert arb(found.lower) <= S <= arb(found.upper)
    exact = of(enclose_unbalanced_divergence_gradient(*given))
    size = max(abs(exact).max(), 1e-3 * abs(given[0]).max())  # 0 between equal measures
    assert abs(right_unbalanced_gradient(*given).ravel() - exact).max() <= NEAR * size
