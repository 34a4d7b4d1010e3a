"""float32 weights beside a float64 cost, and files of float32: one rule (`arrays.as_weights`).

What is right is a Sinkhorn iteration in long double on the weights over their exact sums.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import refot
from refot.arrays import WeightError
from refot.limits import cost_limits
from refot.solvers.gap import certified_gap
from refot.verification.certificates.certify import certify
from refot.verification.runs.certify import certified, read_problem

EPS = 0.5


@pytest.fixture(scope="module")
def drawn():
    """x, y, C in float64; a, b as a softmax in float32 leaves them: sums off by 2e-7 and 4e-8."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), rng.normal(size=(50, 3))
    a, b = (z / z.sum() for z in (np.exp(rng.normal(size=n)).astype(np.float32) for n in (60, 50)))
    assert 1e-8 < abs(a.sum(dtype=np.float64) - 1) < 1e-6
    return x, y, ((x[:, None] - y) ** 2).sum(-1), a, b


@pytest.fixture(scope="module")
def exact(drawn):
    """(F, f): 2,000 steps in long double."""
    _, _, C, a, b = drawn
    C, a, b = (array.astype(np.longdouble) for array in (C, a, b))
    a, b = a / a.sum(), b / b.sum()
    g = np.zeros_like(b)
    for _ in range(2000):
        f = -EPS * np.log((b * np.exp((g - C) / EPS)).sum(1))
        g = -EPS * np.log((a[:, None] * np.exp((f[:, None] - C) / EPS)).sum(0))
    return float(a @ f + b @ g), (f - f.mean()).astype(np.float64)


def test_a_solve_converges_and_its_value_is_that_of_the_normalised_weights(drawn, exact, backend):
    _, _, C, a, b = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solved = refot.solve(C, a, b, EPS, tol=1e-12, backend=backend)
        value = refot.entropic_value(C, a, b, EPS, backend=backend)
        slope = refot.entropic_value_gradient_weights(C, a, b, EPS, backend=backend)
    assert solved.converged
    assert solved.f.dtype == np.float64
    assert value == pytest.approx(exact[0], rel=1e-14)
    np.testing.assert_allclose(slope, exact[1], atol=1e-11)


def test_every_certificate_is_of_the_normalised_weights(drawn, exact, tmp_path):
    _, _, C, a, b = drawn
    g = refot.solve(C, a, b, EPS, tol=1e-12).g
    gap, balls = certified_gap(g, C, a, b, EPS), certify(C, a, b, EPS, g).value
    assert gap.lower <= exact[0] <= gap.upper
    assert balls.lower <= exact[0] + 1e-14
    assert balls.upper >= exact[0] - 1e-14
    np.savez(tmp_path / "one.npz", C=C.astype(np.float32), a=a, b=b, eps=np.float32(EPS))
    found = certified(*read_problem(tmp_path / "one.npz")).certificate.value
    in_double = certify(C.astype(np.float32).astype(np.float64), a, b, EPS, g).value
    assert found.lower <= in_double.upper
    assert in_double.lower <= found.upper


FUNCTIONS = {
    "sharp_value": lambda x, y, C, a, b: refot.sharp_value(C, a, b, EPS),
    "sinkhorn_divergence": lambda x, y, C, a, b: refot.sinkhorn_divergence(x, a, y, b, EPS),
    "sinkhorn_divergence_gradient":
        lambda x, y, C, a, b: refot.sinkhorn_divergence_gradient(x, a, y, b, EPS),
    "sinkhorn_loss": lambda x, y, C, a, b: refot.sinkhorn_loss(x, a, y, b, EPS),
    "mmd_squared": lambda x, y, C, a, b: refot.mmd_squared(x, a, y, b),
    "mmd_squared_unbiased_gradient":
        lambda x, y, C, a, b: refot.mmd_squared_unbiased_gradient(x, a, y, b),
    "sharp_value_gradient_points":
        lambda x, y, C, a, b: refot.sharp_value_gradient_points(refot.point_cost(x, y), a, b, EPS),
    "scaling_loss": lambda x, y, C, a, b: refot.scaling_loss(C, a, b, EPS, 3),
    "scaling_loss_gradient": lambda x, y, C, a, b: refot.scaling_loss_gradient(C, a, b, EPS, 3),
    "semi_dual": lambda x, y, C, a, b: refot.semi_dual(np.zeros(50), C, a, b, EPS),
    "round_to_marginals": lambda x, y, C, a, b: refot.round_to_marginals(np.exp(-C), a, b),
    "q_objective": lambda x, y, C, a, b: refot.q_objective(-C, np.exp(-C), a, b),
    "cost_limits": lambda x, y, C, a, b: cost_limits(C, a, b, exact=0.0).independent,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_takes_them_as_it_takes_the_normalised_ones(drawn, name):
    """The same bits as for weights that are float64 and normalised beforehand."""
    x, y, C, a, b = drawn
    normal = [w.astype(np.float64) / w.sum(dtype=np.float64) for w in (a, b)]
    function = FUNCTIONS[name]
    np.testing.assert_array_equal(function(x, y, C, a, b), function(x, y, C, *normal))


def test_float64_weights_beside_a_float32_cost_are_judged_in_float64(drawn):
    _, _, C, a, b = drawn
    with pytest.raises(WeightError, match="within 1e-10"):
        refot.solve(C.astype(np.float32), a.astype(np.float64), b, EPS)
    measure = refot.measure(np.zeros((60, 2), np.float32), a)
    assert measure.weights.dtype == np.float32
