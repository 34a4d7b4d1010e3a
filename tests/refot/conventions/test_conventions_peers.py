"""The rows of CONVENTIONS for POT, OTT and GeomLoss, run against the version that is installed.

A library solves a small problem to convergence, in its own units; what it returns, converted as its
row says, must be refot's F or S to 1e-10, its potentials must give refot's plan, and its defaults
must be those of the row. A definition or a default that a new version changes is noticed here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect

import numpy as np
import pytest

from refot.conventions.convert import (
    CONVENTIONS,
    Divergence,
    PotentialForm,
    eps_from_refot,
    potentials_to_refot,
    problem_to_refot,
    result_to_refot,
)
from refot.costs.ground import GROUND_COSTS

pytestmark = [pytest.mark.peers]

PEERS = {"POT": "ot", "OTT-JAX": "ott", "GeomLoss": "geomloss"}
ROWS = {name: row for name, row in CONVENTIONS.items() if row.library in PEERS}

RNG = np.random.default_rng(3)
X, Y = RNG.uniform(size=(7, 2)), RNG.uniform(size=(5, 2))
A, B = RNG.dirichlet(np.full(7, 3.0)), RNG.dirichlet(np.full(5, 3.0))
EPS = 0.25
EPS_OF_GEOMLOSS_OT = 2.0
"""At least the squared diameter of the box of X and Y, and the range of the cost: the annealing of
geomloss.ot, which has no stopping rule, then runs all of its iterations at this eps."""
TOL = 1e-10


# ------------------------------------------------------------------ the reference, in a few lines
@functools.cache
def sinkhorn(first, second, cost, scale, eps):
    """(<C,P>, KL(P | ab'), f, g, P) of the plainest Sinkhorn, for `scale` times a ground cost."""
    (x, a), (y, b) = ({"x": (X, A), "y": (Y, B)}[key] for key in (first, second))
    C, g = scale * GROUND_COSTS[cost].matrix(x, y), np.zeros(len(b))
    for _ in range(500):
        f = -eps * np.log(np.exp((g - C) / eps) @ b)
        g = -eps * np.log(a @ np.exp((f[:, None] - C) / eps))
    P = np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)
    assert abs(P.sum(1) - a).max() < 1e-15
    return (P * C).sum(), (P * np.log(P / np.outer(a, b))).sum(), f, g, P


def refots(cost, eps, divergence):
    """(F or S, the KL that a sharp value needs) on refot's ground cost."""
    pairs = [("x", "y"), ("x", "x"), ("y", "y")]
    sharp, kl = np.array([sinkhorn(*pair, cost, 1.0, eps)[:2] for pair in pairs]).T
    F = sharp + eps * kl
    if divergence is Divergence.NONE:
        return F[0], kl[0]
    return F[0] - (F[1] + F[2]) / 2, tuple(kl)


# ------------------------------------------------------------------ the calls, one for each row
def matrix(cost):
    """The matrix for a call that takes one: squared Euclidean."""
    assert cost.ground is None
    return GROUND_COSTS["sqeuclidean"].matrix(X, Y)


def pot_sinkhorn2(cost, reg):
    import ot

    value, log = ot.sinkhorn2(A, B, matrix(cost), reg, stopThr=1e-14, log=True)
    return value, (log["u"], log["v"])


def pot_solve(cost, reg, reg_type="KL"):
    import ot

    solved = ot.solve(matrix(cost), A, B, reg=reg, reg_type=reg_type, tol=1e-14)
    return solved.value, solved.potentials


def pot_solve_sample_lazy(cost, reg):
    import ot

    solved = ot.solve_sample(X, Y, A, B, metric=cost.name, reg=reg, lazy=True, tol=1e-14)
    assert solved.value is None
    return solved.value_linear, solved.potentials


def pot_solve_sample_debias(cost, reg):
    import ot

    if "debias" not in inspect.signature(ot.solve_sample).parameters:
        pytest.skip("POT before 0.9.7")
    solved = ot.solve_sample(X, Y, A, B, metric=cost.name, reg=reg, debias=True, tol=1e-14)
    return solved.value, solved.potentials


def pot_divergence(cost, reg):
    import ot

    return ot.bregman.empirical_sinkhorn_divergence(
        X, Y, reg, A, B, metric=cost.name, stopThr=1e-14), None


def pot_greenkhorn(cost, reg):
    import ot

    _, log = ot.bregman.greenkhorn(A, B, matrix(cost), reg, stopThr=1e-13, log=True)
    return None, (log["u"], log["v"])


def pot_epsilon_scaling(cost, reg):
    import ot

    _, log = ot.bregman.sinkhorn_epsilon_scaling(A, B, matrix(cost), reg, stopThr=1e-13, log=True)
    return None, (log["alpha"], log["beta"])


@contextlib.contextmanager
def float64_jax():
    import jax

    enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
    with enable_x64(True):
        yield


def ott_cost(cost):
    """"SqPNorm(2)" -> ott.geometry.costs.SqPNorm(2.0)."""
    from ott.geometry import costs

    name, _, p = cost.name.rstrip(")").partition("(")
    return getattr(costs, name)(*([float(p)] if p else []))


OTT_SOLVE = {"threshold": 1e-14, "max_iterations": 2000}


@functools.cache
def ott_solved(cost, epsilon):
    import jax.numpy as jnp
    from ott.geometry import pointcloud
    from ott.solvers import linear

    with float64_jax():
        geom = pointcloud.PointCloud(
            jnp.asarray(X), jnp.asarray(Y), cost_fn=ott_cost(cost), epsilon=epsilon)
        return linear.solve(geom, a=jnp.asarray(A), b=jnp.asarray(B), **OTT_SOLVE)


def ott_solve(cost, epsilon, attribute):
    solved = ott_solved(cost, epsilon)
    with float64_jax():
        assert solved.converged
        return float(getattr(solved, attribute)), tuple(map(np.asarray, (solved.f, solved.g)))


def ott_divergence(cost, epsilon):
    import jax.numpy as jnp
    from ott.geometry import pointcloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    with float64_jax():
        value, solved = sinkhorn_divergence(
            pointcloud.PointCloud, jnp.asarray(X), jnp.asarray(Y), cost_fn=ott_cost(cost),
            epsilon=epsilon, a=jnp.asarray(A), b=jnp.asarray(B), solve_kwargs=OTT_SOLVE)
        return float(value), tuple(map(np.asarray, solved.potentials[0]))


def samples_loss(cost, blur, p, debias):
    """GeomLoss's legacy loss, converged by a schedule of 1000 steps from just above its target.

    The cost is its own, but for p=1 with self terms: see test_a_distance_of_geomloss_is_never_0.
    """
    import geomloss
    import torch

    assert cost.ground == {1: "euclidean", 2: "sqeuclidean"}[p]
    made = functools.partial(
        geomloss.SamplesLoss, "sinkhorn", p=p, blur=blur, debias=debias, diameter=1.0001 * blur,
        scaling=1 - 1e-7, backend="tensorized", cost=torch.cdist if p == 1 and debias else None)
    data = [torch.as_tensor(each) for each in (A, X, B, Y)]
    f, g = (each.numpy().ravel() for each in made(potentials=True)(*data))
    return float(made()(*data)), (f, g)


def geomloss_ot_solve_sample(cost, value, parameter, debias=False):
    from geomloss import ot

    assert cost.ground == "sqeuclidean"
    solved = ot.solve_sample(X, Y, A, B, max_iter=60, debias=debias, **{parameter: value})
    return float(solved.value), (solved.potential_a, solved.potential_b)


def geomloss_ot_solve(cost, reg):
    from geomloss import ot

    solved = ot.solve(matrix(cost), a=A, b=B, reg=reg, max_iter=60)
    return float(solved.value), (solved.potential_a, solved.potential_b)


CALLS = {
    "pot.sinkhorn2": pot_sinkhorn2,
    "pot.solve": pot_solve,
    "pot.solve(entropy)": functools.partial(pot_solve, reg_type="entropy"),
    "pot.solve_sample(lazy)": pot_solve_sample_lazy,
    "pot.solve_sample(debias)": pot_solve_sample_debias,
    "pot.empirical_sinkhorn_divergence": pot_divergence,
    "pot.greenkhorn": pot_greenkhorn,
    "pot.sinkhorn_epsilon_scaling": pot_epsilon_scaling,
    **{f"ott.{attribute}": functools.partial(ott_solve, attribute=attribute)
       for attribute in ("reg_ot_cost", "ent_reg_cost", "primal_cost", "dual_cost")},
    "ott.sinkhorn_divergence": ott_divergence,
    **{f"geomloss.SamplesLoss(p={p}{more})": functools.partial(samples_loss, p=p, debias=not more)
       for p in (1, 2) for more in ("", ", debias=False")},
    "geomloss.ot.solve_sample": functools.partial(geomloss_ot_solve_sample, parameter="reg"),
    "geomloss.ot.solve_sample(blur)": functools.partial(geomloss_ot_solve_sample, parameter="blur"),
    "geomloss.ot.solve_sample(debias=True)": functools.partial(
        geomloss_ot_solve_sample, parameter="reg", debias=True),
    "geomloss.ot.solve": geomloss_ot_solve,
}


def test_each_row_of_these_libraries_has_its_call():
    assert set(CALLS) == set(ROWS)


# ------------------------------------------------------------------ the rows
@pytest.mark.parametrize(
    ("name", "cost"), [(name, cost) for name, row in ROWS.items() for cost in row.costs],
    ids=lambda each: getattr(each, "name", each))
def test_what_a_call_returns_is_what_its_row_says(name, cost):
    row = ROWS[name]
    pytest.importorskip(PEERS[row.library])
    eps = EPS_OF_GEOMLOSS_OT if name.startswith("geomloss.ot.") else EPS
    parameter = eps_from_refot(name, eps, cost.name)
    value, potentials = CALLS[name](cost, parameter)

    problem = problem_to_refot(name, parameter, cost.name)
    ground = problem.ground or "sqeuclidean"
    expected, kl = refots(ground, problem.eps, row.divergence)
    if row.value is None:
        assert value is None
    else:
        number, _ = result_to_refot(name, value, parameter, a=A, b=B, cost=cost.name, kl=kl)
        assert number == pytest.approx(expected, abs=TOL)
    if row.potentials is PotentialForm.NONE:
        assert potentials is None
    else:
        plan = plan_from(potentials, row.potentials, ground, problem)
        np.testing.assert_allclose(plan, sinkhorn("x", "y", ground, 1.0, eps)[4], atol=TOL)


def plan_from(potentials, form, ground, problem):
    """The plan of a library's potentials, converted to density form and to refot's cost."""
    f, g = potentials
    scale, eps = problem.scale, problem.eps
    if form is PotentialForm.DEBIASED:  # needs p and q, as the error says
        (_, _, *p, _), (_, _, *q, _) = (
            sinkhorn(side, side, ground, scale, scale * eps) for side in ("x", "y"))
        f, g, form = f + sum(p) / 2, g + sum(q) / 2, PotentialForm.DENSITY
    f, g = potentials_to_refot(f, g, form, A, B, scale * eps)
    C = GROUND_COSTS[ground].matrix(X, Y)
    return np.outer(A, B) * np.exp(((f[:, None] + g) / scale - C) / eps)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.defaults_of])
def test_defaults_are_those_of_the_row(name):
    row = ROWS[name]
    pytest.importorskip(PEERS[row.library])
    module, _, attribute = row.defaults_of.partition(":")
    signature = inspect.signature(getattr(importlib.import_module(module), attribute))
    found = {each: signature.parameters[each].default for each in row.defaults
             if each in signature.parameters}
    assert found == row.defaults


# ------------------------------------------------------------------ what the notes say
def test_a_distance_of_geomloss_is_never_0():
    """sqrt(max(|x - y|^2, 1e-8)): with p=1 the self terms are too high, the divergence too low."""
    geomloss, torch = pytest.importorskip("geomloss"), pytest.importorskip("torch")
    loss = geomloss.SamplesLoss("sinkhorn", p=1, blur=EPS, diameter=1.0001 * EPS,
                                scaling=1 - 1e-7, backend="tensorized")
    value = float(loss(*(torch.as_tensor(each) for each in (A, X, B, Y))))
    expected, _ = refots("euclidean", EPS, Divergence.HALVES)
    assert -1e-4 <= value - expected < -1e-6


def test_geomloss_ot_takes_no_tolerance_and_no_default_number_of_iterations():
    ot = pytest.importorskip("geomloss.ot")
    with pytest.raises(ValueError, match="max_iter"):
        ot.solve_sample(X, Y, A, B, reg=EPS)
    with pytest.raises(NotImplementedError, match="stopping criteria"):
        ot.solve_sample(X, Y, A, B, reg=EPS, max_iter=9, tol=1e-6)


def test_the_default_eps_of_ott_is_a_twentieth_of_the_deviation_of_the_cost():
    pytest.importorskip("ott")
    from ott.geometry import geometry

    C = GROUND_COSTS["sqeuclidean"].matrix(X, Y)
    with float64_jax():
        import jax.numpy as jnp

        assert float(geometry.Geometry(jnp.asarray(C)).epsilon) == pytest.approx(0.05 * C.std())


def test_pot_clamps_its_divergence_at_0():
    ot = pytest.importorskip("ot")
    same = ot.bregman.empirical_sinkhorn_divergence(X, X, EPS, A, A, stopThr=1e-14)
    assert same == 0.0


def test_sinkhorn2_is_silent_where_sinkhorn_warns():
    ot = pytest.importorskip("ot")
    C = GROUND_COSTS["sqeuclidean"].matrix(X, Y)
    ot.sinkhorn2(A, B, C, 0.01, numItermax=2)
    with pytest.warns(UserWarning, match="did not converge"):
        ot.sinkhorn(A, B, C, 0.01, numItermax=2)
