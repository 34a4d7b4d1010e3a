"""Every public function of refot, called once on small inputs, on the arrays of any backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import refot

EPS, LAM, CODES, STEPS = 2.0, 0.5, [0, 1, 0, 1, 1], 3
RHO = (1.5, 4.0)


@dataclass(frozen=True)
class World:
    """The INPUTS as arrays of the backend `on`: attribute `x` is INPUTS["x"], and so on."""

    on: Any

    def __getattr__(self, name: str) -> Any:
        return self.on.asarray(INPUTS[name])

    @property
    def C(self) -> Any:
        return refot.point_cost(self.x, self.y, "euclidean")

    @property
    def problem(self) -> tuple[Any, ...]:
        return self.C, self.a, self.b, EPS

    @property
    def matrix(self) -> tuple[Any, ...]:
        return self.C.dense(), self.a, self.b, EPS

    @property
    def costs(self) -> tuple[Any, ...]:
        """The cost matrices between x and y, within x, and within y."""
        pairs = ((self.x, self.y), (self.x, self.x), (self.y, self.y))
        return tuple(refot.point_cost(*pair).dense() for pair in pairs)

    @property
    def samples(self) -> tuple[Any, ...]:
        return self.x, self.a, self.y, self.b


def inputs() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    a, b = rng.dirichlet(np.full(5, 3.0)), rng.dirichlet(np.full(7, 3.0))
    found = {
        "x": rng.normal(size=(5, 2)), "x2": rng.normal(size=(5, 2)), "y": rng.normal(size=(7, 2)),
        "a": a, "b": b, "zeta": np.array([0.4, 0.6]), "f": rng.normal(size=5),
        "g": rng.normal(size=7), "Q": rng.normal(size=(5, 7)), "Q1": rng.normal(size=(2, 7)),
        "P": rng.dirichlet(np.ones(35)).reshape(5, 7),
        "P1": rng.dirichlet(np.ones(14)).reshape(2, 7),
        "eta": rng.dirichlet(np.ones(25)).reshape(5, 5), "codes": np.array(CODES),
        "far": np.full(5, -9.0), "flat": np.zeros(7),
    }
    return found | {"backward": found["P"][::-1], "fx": found["x"][:, 0], "fy": found["y"][:, 0]}


INPUTS = inputs()
EXACT = {"tol": 1e-11}

CALLS: dict[str, Callable[[World], Any]] = {
    "c_eps_transform": lambda w: refot.c_eps_transform(w.g, w.C, w.b, EPS, backend=w.on),
    "c_transform": lambda w: refot.c_transform(w.g, w.C, w.b),
    "conditional": lambda w: refot.conditional(w.g, w.C, w.b, EPS, backend=w.on),
    "dual": lambda w: refot.dual(w.f, w.g, *w.problem, backend=w.on),
    "entropic_primal": lambda w: refot.entropic_primal(w.P, w.matrix[0], LAM),
    "entropic_value": lambda w: refot.entropic_value(*w.problem, **EXACT, backend=w.on),
    "entropic_value_and_gradient": lambda w: value_and_x(
        refot.entropic_value_and_gradient(*w.problem, **EXACT, backend=w.on)),
    "entropic_value_gradient_points":
        lambda w: refot.entropic_value_gradient_points(*w.problem, **EXACT, backend=w.on),
    "entropic_value_gradient_weights":
        lambda w: refot.entropic_value_gradient_weights(*w.problem, **EXACT, backend=w.on),
    "entropic_value_gradient_eps":
        lambda w: refot.entropic_value_gradient_eps(*w.problem, **EXACT, backend=w.on),
    "entropy": lambda w: refot.entropy(w.P),
    "generator_loss": lambda w: refot.generator_loss(w.x, w.x2, w.y, w.P, w.eta),
    "generator_loss_gradient": lambda w: refot.generator_loss_gradient(w.x, w.x2, w.y, w.P, w.eta),
    "informative_cost": lambda w: refot.informative_cost(w.C, w.Q, LAM).dense(),
    "informative_plan": lambda w: refot.informative_plan(
        w.C, w.Q, LAM, w.a, w.b, EPS, **EXACT, backend=w.on)[0],
    "kantorovich_dual": lambda w: refot.kantorovich_dual(w.far, w.flat, *w.matrix[:3]),
    "kantorovich_rubinstein":
        lambda w: refot.kantorovich_rubinstein(w.fx, w.fy, *w.problem[:3]),
    "kl": lambda w: refot.kl(w.P, w.backward),
    "kl_dual": lambda w: refot.kl_dual(w.Q, w.P, w.a, w.b),
    "kl_from_product": lambda w: refot.kl_from_product(w.P, w.a, w.b),
    "log_dual": lambda w: refot.log_dual(w.f, w.g, *w.problem, backend=w.on),
    "marginal_error": lambda w: refot.marginal_error(w.f, w.g, *w.problem, backend=w.on),
    "marginals": lambda w: refot.marginals(w.f, w.g, *w.problem, backend=w.on),
    "measure": lambda w: refot.measure(w.x, w.a).merged().weights,
    "mmd_squared": lambda w: refot.mmd_squared(*w.samples),
    "mmd_squared_gradient": lambda w: refot.mmd_squared_gradient(*w.samples),
    "mmd_squared_gradient_weights": lambda w: refot.mmd_squared_gradient_weights(*w.samples),
    "mmd_squared_unbiased": lambda w: refot.mmd_squared_unbiased(*w.samples),
    "mmd_squared_unbiased_gradient": lambda w: refot.mmd_squared_unbiased_gradient(*w.samples),
    "mmd_squared_unbiased_gradient_weights":
        lambda w: refot.mmd_squared_unbiased_gradient_weights(*w.samples),
    "mutual_information": lambda w: refot.mutual_information(w.P),
    "normalised": lambda w: refot.normalised(w.C).dense(),
    "path": lambda w: of(refot.path(*w.problem[:3], 2 * EPS, EPS, gap=1e-11,
                                          backend=w.on).results[-1]),
    "plan": lambda w: refot.plan(w.f, w.g, *w.problem, backend=w.on),
    "point_cost": lambda w: refot.point_cost(w.x, w.y, "l1", 2.0).dense(),
    "plan_jvp": lambda w: refot.plan_jvp(*w.matrix, dC=w.Q, **EXACT, backend=w.on),
    "potentials_jvp": lambda w: refot.potentials_jvp(*w.problem, dx=w.x2, dy=w.y, **EXACT,
                                                     backend=w.on),
    "primal": lambda w: refot.primal(w.P, *w.matrix),
    "q_objective": lambda w: refot.q_objective(w.Q1, w.P1, w.zeta, w.b),
    "q_objective_gradient": lambda w: refot.q_objective_gradient(w.Q1, w.P1, w.zeta, w.b),
    "round_to_marginals": lambda w: refot.round_to_marginals(w.P, w.a, w.b),
    "scaling_iterates": lambda w: next(refot.scaling_iterates(*w.matrix)),
    "scaling_loss": lambda w: refot.scaling_loss(*w.matrix, STEPS),
    "scaling_loss_gradient": lambda w: refot.scaling_loss_gradient(*w.matrix, STEPS),
    "scaling_loss_gradient_log":
        lambda w: refot.scaling_loss_gradient_log(*w.problem, STEPS, backend=w.on),
    "scaling_loss_gradient_points":
        lambda w: refot.scaling_loss_gradient_points(*w.problem, STEPS, backend=w.on),
    "scaling_loss_gradient_self": lambda w: refot.scaling_loss_gradient_self(
        refot.point_cost(w.x, w.x), w.a, EPS, STEPS, backend=w.on),
    "semi_dual": lambda w: refot.semi_dual(w.g, *w.problem, backend=w.on),
    "semi_dual_gradient": lambda w: refot.semi_dual_gradient(w.g, *w.problem, backend=w.on),
    "semi_dual_gradient_points":
        lambda w: refot.semi_dual_gradient_points(w.g, *w.problem, backend=w.on),
    "semi_dual_gradient_q": lambda w: refot.semi_dual_gradient_q(
        w.g, w.C, w.Q, LAM, w.a, w.b, EPS, backend=w.on),
    "semi_dual_plan": lambda w: refot.semi_dual_plan(w.g, *w.problem, backend=w.on),
    "sharp_value": lambda w: refot.sharp_value(*w.problem, **EXACT, backend=w.on),
    "sharp_value_gradient":
        lambda w: refot.sharp_value_gradient(*w.problem, **EXACT, backend=w.on),
    "sharp_value_and_gradient": lambda w: value_and_x(
        refot.sharp_value_and_gradient(*w.problem, **EXACT, backend=w.on)),
    "sharp_value_gradient_points":
        lambda w: refot.sharp_value_gradient_points(*w.problem, **EXACT, backend=w.on),
    "sharp_value_gradient_weights":
        lambda w: refot.sharp_value_gradient_weights(*w.problem, **EXACT, backend=w.on),
    "sinkhorn_divergence":
        lambda w: refot.sinkhorn_divergence(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_value_and_gradient": lambda w: value_and_x(
        refot.sinkhorn_divergence_value_and_gradient(*w.samples, EPS, **EXACT, backend=w.on)),
    "sinkhorn_divergence_gradient":
        lambda w: refot.sinkhorn_divergence_gradient(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_gradient_eps":
        lambda w: refot.sinkhorn_divergence_gradient_eps(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_of_costs": lambda w: refot.sinkhorn_divergence_of_costs(
        *w.costs, w.a, w.b, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_of_costs_gradient_weights":
        lambda w: refot.sinkhorn_divergence_of_costs_gradient_weights(
            *w.costs, w.a, w.b, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_gradient_weights":
        lambda w: refot.sinkhorn_divergence_gradient_weights(*w.samples, EPS, **EXACT,
                                                             backend=w.on),
    "sinkhorn_log": lambda w: of(refot.sinkhorn_log(*w.problem, **EXACT, backend=w.on)),
    "sinkhorn_loss": lambda w: refot.sinkhorn_loss(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_loss_of_costs": lambda w: refot.sinkhorn_loss_of_costs(
        *w.costs, w.a, w.b, EPS, **EXACT, backend=w.on),
    "sinkhorn_loss_value_and_gradient": lambda w: value_and_x(
        refot.sinkhorn_loss_value_and_gradient(*w.samples, EPS, **EXACT, backend=w.on)),
    "sinkhorn_loss_gradient":
        lambda w: refot.sinkhorn_loss_gradient(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_scaling": lambda w: refot.sinkhorn_scaling(*w.matrix, STEPS),
    "sinkhorn_symmetric": lambda w: refot.sinkhorn_symmetric(
        refot.point_cost(w.x, w.x), w.a, EPS, **EXACT, backend=w.on).f,
    "softmin": lambda w: refot.softmin(w.C, w.g, EPS, backend=w.on),
    "pairwise": lambda w: w.on.asarray(refot.pairwise([w.x, w.y], EPS, backend=w.on)),
    "solve": lambda w: of(refot.solve(*w.problem, **EXACT, backend=w.on)),
    "solve_divergence": lambda w: own_potentials(
        refot.solve_divergence(*w.samples, EPS, **EXACT, backend=w.on)),
    "solve_divergence_of_costs": lambda w: own_potentials(
        refot.solve_divergence_of_costs(*w.costs, w.a, w.b, EPS, **EXACT, backend=w.on)),
    "solve_unbalanced_divergence": lambda w: own_potentials(
        refot.solve_unbalanced_divergence(*w.samples, EPS, 1.5, **EXACT, backend=w.on)),
    "solve_batch": lambda w: in_one_gauge(refot.solve_batch(
        w.matrix[0], *(w.on.asarray(np.stack([INPUTS[z], INPUTS[z][::-1]])) for z in "ab"), EPS,
        **EXACT, backend=w.on)),
    "sum_noise": lambda w: refot.sum_noise(w.P, w.codes, 2),
    "transport_cost": lambda w: refot.transport_cost(w.P, w.matrix[0]),
    "unbalanced_certified_gap": lambda w: refot.unbalanced_certified_gap(
        w.f, w.g, *w.problem, RHO, backend=w.on).lower,
    "unbalanced_divergence":
        lambda w: refot.unbalanced_divergence(*w.samples, EPS, 1.5, **EXACT, backend=w.on),
    "unbalanced_divergence_of_costs": lambda w: refot.unbalanced_divergence_of_costs(
        *w.costs, w.a, w.b, EPS, 1.5, **EXACT, backend=w.on),
    "unbalanced_divergence_value_and_gradient": lambda w: value_and_x(
        refot.unbalanced_divergence_value_and_gradient(*w.samples, EPS, 1.5, **EXACT,
                                                       backend=w.on)),
    "unbalanced_value_and_gradient": lambda w: value_and_x(
        refot.unbalanced_value_and_gradient(*w.problem, 1.5, **EXACT, backend=w.on)),
    "unbalanced_divergence_gradient": lambda w: refot.unbalanced_divergence_gradient(
        *w.samples, EPS, 1.5, **EXACT, backend=w.on),
    "unbalanced_divergence_gradient_weights":
        lambda w: refot.unbalanced_divergence_gradient_weights(
            *w.samples, EPS, 1.5, **EXACT, backend=w.on),
    "unbalanced_dual": lambda w: refot.unbalanced_dual(w.f, w.g, *w.problem, RHO, backend=w.on),
    "unbalanced_limits":
        lambda w: refot.unbalanced_limits(*w.problem, RHO, backend=w.on).bounds,
    "unbalanced_marginals":
        lambda w: refot.unbalanced_marginals(w.f, w.g, *w.problem, RHO, backend=w.on),
    "unbalanced_multiple": lambda w: refot.unbalanced_multiple(w.P, *w.matrix, RHO),
    "unbalanced_plan": lambda w: refot.unbalanced_plan(w.f, w.g, *w.problem, backend=w.on),
    "unbalanced_primal": lambda w: refot.unbalanced_primal(w.P, *w.matrix, RHO),
    "unbalanced_shift": lambda w: refot.unbalanced_shift(w.f, w.g, *w.problem, RHO, backend=w.on),
    "unbalanced_value": lambda w: refot.unbalanced_value(*w.problem, RHO, **EXACT, backend=w.on),
    "unbalanced_value_gradient_points": lambda w: refot.unbalanced_value_gradient_points(
        *w.problem, RHO, **EXACT, backend=w.on),
    "unbalanced_value_gradient_eps": lambda w: refot.unbalanced_value_gradient_eps(
        *w.problem, RHO, **EXACT, backend=w.on),
    "unbalanced_value_gradient_rho": lambda w: refot.unbalanced_value_gradient_rho(
        *w.problem, RHO, **EXACT, backend=w.on),
    "unbalanced_value_gradient_weights": lambda w: refot.unbalanced_value_gradient_weights(
        *w.problem, RHO, **EXACT, backend=w.on),
}


def of(solved: Any) -> tuple[Any, Any]:
    """The potentials shifted so that g_0 = 0: solvers leave a constant between f and g free."""
    assert solved.converged
    return solved.f + solved.g[0], solved.g - solved.g[0]


def value_and_x(found: refot.ValueAndGradient) -> tuple[Any, Any]:
    """The value and the gradient in x."""
    return found.value, found.gradient.x


def own_potentials(solved: refot.SolvedDivergence) -> tuple[Any, Any]:
    """The potentials of each measure with itself, in which no constant is free."""
    return solved.xx.f, solved.yy.f


def in_one_gauge(solved: Any) -> tuple[Any, Any]:
    """The potentials of a batch, shifted so that g_0 = 0 in each problem."""
    assert solved.converged.all()
    return solved.f + solved.g[:, :1], solved.g - solved.g[:, :1]


def arrays(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]
