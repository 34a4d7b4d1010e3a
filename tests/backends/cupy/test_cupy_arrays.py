"""The equations run on CuPy's arrays unchanged: each public function, on arrays that refuse NumPy.

The arrays are `cuda_host.strict_cupy`'s and the operations those of the CUDA kernels, compiled for
the processor. Each call is compared with the same call on NumPy arrays and the NumPy backend; both
solve to the same tolerance, so they agree to far better than RTOL unless something is wrong.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from cuda_host import strict_cupy
from cuda_host.host import COMPILER, HostBackend

import refot
from refot import information, informative_plans, limits, printed, semidiscrete
from refot.backends.numpy.backend import NumpyBackend
from refot.solvers import METHODS

pytestmark = pytest.mark.skipif(COMPILER is None and os.environ.get("CI") != "true",
                                reason="no g++ here; CI has one")

RTOL = 1e-6
"""eps is about the mean cost, so a potential is off by few times what a marginal is: 1e-9."""

EPS, LAM, CODES, STEPS = 2.0, 0.5, [0, 1, 0, 1, 1], 3


@dataclass(frozen=True)
class World:
    """The same inputs on the arrays of one backend."""

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
    def samples(self) -> tuple[Any, ...]:
        return self.x, self.a, self.y, self.b


def inputs() -> dict[str, Any]:
    rng = np.random.default_rng(7)
    a, b = rng.dirichlet(np.full(5, 3.0)), rng.dirichlet(np.full(7, 3.0))
    return {
        "x": rng.normal(size=(5, 2)), "x2": rng.normal(size=(5, 2)), "y": rng.normal(size=(7, 2)),
        "a": a, "b": b, "zeta": np.array([0.4, 0.6]), "f": rng.normal(size=5),
        "g": rng.normal(size=7), "Q": rng.normal(size=(5, 7)), "Q1": rng.normal(size=(2, 7)),
        "P": rng.dirichlet(np.ones(35)).reshape(5, 7),
        "P1": rng.dirichlet(np.ones(14)).reshape(2, 7),
        "eta": rng.dirichlet(np.ones(25)).reshape(5, 5), "codes": np.array(CODES),
        "far": np.full(5, -9.0), "flat": np.zeros(7),
    }


INPUTS = inputs()
EXACT = {"tol": 1e-11}

CALLS: dict[str, Callable[[World], Any]] = {
    "c_eps_transform": lambda w: refot.c_eps_transform(w.g, w.C, w.b, EPS, backend=w.on),
    "c_transform": lambda w: refot.c_transform(w.g, w.C, w.b),
    "conditional": lambda w: refot.conditional(w.g, w.C, w.b, EPS, backend=w.on),
    "dual": lambda w: refot.dual(w.f, w.g, *w.problem, backend=w.on),
    "entropic_primal": lambda w: refot.entropic_primal(w.P, w.matrix[0], LAM),
    "entropic_value": lambda w: refot.entropic_value(*w.problem, **EXACT, backend=w.on),
    "entropic_value_gradient_points":
        lambda w: refot.entropic_value_gradient_points(*w.problem, **EXACT, backend=w.on),
    "entropic_value_gradient_weights":
        lambda w: refot.entropic_value_gradient_weights(*w.problem, **EXACT, backend=w.on),
    "entropy": lambda w: refot.entropy(w.P),
    "generator_loss": lambda w: refot.generator_loss(w.x, w.x2, w.y, w.P, w.eta),
    "generator_loss_gradient": lambda w: refot.generator_loss_gradient(w.x, w.x2, w.y, w.P, w.eta),
    "informative_cost": lambda w: refot.informative_cost(w.C, w.Q, LAM).dense(),
    "informative_plan": lambda w: refot.informative_plan(
        w.C, w.Q, LAM, w.a, w.b, EPS, **EXACT, backend=w.on)[0],
    "kantorovich_dual": lambda w: refot.kantorovich_dual(w.far, w.flat, *w.matrix[:3]),
    "kantorovich_rubinstein":
        lambda w: refot.kantorovich_rubinstein(w.x[:, 0], w.y[:, 0], *w.problem[:3]),
    "kl": lambda w: refot.kl(w.P, w.P[::-1]),
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
    "plan": lambda w: refot.plan(w.f, w.g, *w.problem, backend=w.on),
    "point_cost": lambda w: refot.point_cost(w.x, w.y, "l1", 2.0).dense(),
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
    "sharp_value_gradient_points":
        lambda w: refot.sharp_value_gradient_points(*w.problem, **EXACT, backend=w.on),
    "sharp_value_gradient_weights":
        lambda w: refot.sharp_value_gradient_weights(*w.problem, **EXACT, backend=w.on),
    "sinkhorn_divergence":
        lambda w: refot.sinkhorn_divergence(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_gradient":
        lambda w: refot.sinkhorn_divergence_gradient(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_divergence_gradient_weights":
        lambda w: refot.sinkhorn_divergence_gradient_weights(*w.samples, EPS, **EXACT,
                                                             backend=w.on),
    "sinkhorn_log": lambda w: of(refot.sinkhorn_log(*w.problem, **EXACT, backend=w.on)),
    "sinkhorn_loss": lambda w: refot.sinkhorn_loss(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_loss_gradient":
        lambda w: refot.sinkhorn_loss_gradient(*w.samples, EPS, **EXACT, backend=w.on),
    "sinkhorn_scaling": lambda w: refot.sinkhorn_scaling(*w.matrix, STEPS),
    "sinkhorn_symmetric": lambda w: refot.sinkhorn_symmetric(
        refot.point_cost(w.x, w.x), w.a, EPS, **EXACT, backend=w.on).f,
    "softmin": lambda w: refot.softmin(w.C, w.g, EPS, backend=w.on),
    "solve": lambda w: of(refot.solve(*w.problem, **EXACT, backend=w.on)),
    "sum_noise": lambda w: refot.sum_noise(w.P, w.codes, 2),
    "transport_cost": lambda w: refot.transport_cost(w.P, w.matrix[0]),
}

NOT_HERE = {
    "kantorovich": "SciPy's linear programme: on the processor",
    "get_backend": "no arrays", "backend_status": "no arrays",
}


def of(solved: Any) -> tuple[Any, Any]:
    """The potentials in the gauge g_0 = 0, which no solver fixes."""
    assert solved.converged
    return solved.f + solved.g[0], solved.g - solved.g[0]


def arrays(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.fixture(scope="module")
def worlds() -> tuple[World, World]:
    return World(NumpyBackend()), World(HostBackend())


def assert_same(call: Callable[[World], Any], worlds: tuple[World, World]) -> None:
    on_numpy, on_device = worlds
    for want, got in zip(arrays(call(on_numpy)), arrays(call(on_device)), strict=True):
        if isinstance(want, np.ndarray):
            assert type(got) is strict_cupy.ndarray  # it stays on its device
            assert got.dtype == want.dtype
            got = got.get()
        else:
            assert isinstance(got, float)
        np.testing.assert_allclose(got, want, rtol=RTOL, atol=1e-9)


@pytest.mark.parametrize("name", CALLS)
def test_on_the_device_as_on_numpy(name: str, worlds: tuple[World, World]) -> None:
    assert_same(CALLS[name], worlds)


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"newton"}))
def test_every_method_of_solve(method: str, worlds: tuple[World, World]) -> None:
    def call(w: World) -> Any:
        return of(refot.solve(*w.problem, method=method, **EXACT, backend=w.on))

    assert_same(call, worlds)


def test_the_dense_newton_method_is_refused_off_the_processor(worlds: tuple[World, World]) -> None:
    with pytest.raises(refot.InputError, match="newton-cg"):
        refot.solve(*worlds[1].problem, method="newton", backend=worlds[1].on)


def test_control_of_a_solve(worlds: tuple[World, World]) -> None:
    """A certified gap, a warm start and a report of progress, on the device's arrays."""
    def call(w: World) -> Any:
        first = refot.solve(*w.problem, max_iter=10_000, gap=1e-6, certified=True, backend=w.on)
        return of(refot.solve(*w.problem, **EXACT, g=first.g, progress=seen, backend=w.on))

    def seen(iteration: int, error: float, elapsed: float) -> None:
        assert isinstance(error, float)

    assert_same(call, worlds)


OTHERS: dict[str, Callable[[World], Any]] = {
    "solve_informative": lambda w: informative_plans.solve_informative(
        w.C, w.a, w.b, EPS, LAM, w.codes, backend=w.on).P,
    "conditional_information":
        lambda w: informative_plans.conditional_information(w.P, w.P.sum(axis=1), w.codes),
    "optimal_q": lambda w: information.optimal_q(w.P1, w.P1.sum(axis=1), w.b),
    "cost_limits": lambda w: limits.cost_limits(w.C, w.a, w.b, exact=0.0).independent,
    "softmin_density": lambda w: limits.softmin_density(w.g, w.C, w.b, EPS, backend=w.on),
    "softmin_batch_bias":
        lambda w: limits.softmin_batch_bias(w.g, w.C, w.b, EPS, 3, backend=w.on),
    "sampled_softmin_bias": lambda w: w.on.asarray(limits.sampled_softmin_bias(
        w.g, w.C, w.b, EPS, 3, 4, np.random.default_rng(0), backend=w.on)[0]),  # NumPy's draws
    "assignment": lambda w: semidiscrete.assignment(w.g, w.C, w.b, LAM, backend=w.on),
    "semi_discrete_objective":
        lambda w: semidiscrete.semi_discrete_objective(w.g, w.C, w.b, LAM, backend=w.on),
    "supergradient": lambda w: semidiscrete.supergradient(w.g, w.C, w.b, LAM, backend=w.on),
    "generator_gradient":
        lambda w: semidiscrete.generator_gradient(w.g, w.C, w.b, LAM, backend=w.on),
    "dual_printed": lambda w: printed.dual_printed(w.f, w.g, *w.problem, backend=w.on),
}


@pytest.mark.parametrize("name", OTHERS)
def test_beside_the_face_of_the_package(name: str, worlds: tuple[World, World]) -> None:
    def call(w: World) -> Any:
        with refot.use_backend(w.on):  # some take no backend, but the default
            return OTHERS[name](w)

    assert_same(call, worlds)


def test_numpy_input_moves_to_the_device(worlds: tuple[World, World]) -> None:
    """`backend="cupy"` with NumPy arrays: the result is on the device."""
    on_numpy, on_device = worlds
    solved = refot.solve(*on_numpy.problem, backend=on_device.on)
    assert type(solved.f) is strict_cupy.ndarray
    P = refot.plan(solved.f, solved.g, *on_numpy.problem, backend=on_device.on)
    assert type(P) is strict_cupy.ndarray


def test_no_public_function_is_left_out() -> None:
    public = {name for name in refot.__all__ if inspect.isfunction(getattr(refot, name))}
    assert public == CALLS.keys() | NOT_HERE.keys()


# ------------------------------------------------------------------ the stand-in itself
def test_the_stand_in_refuses_what_cupy_refuses() -> None:
    array = strict_cupy.namespace.asarray(np.ones(2))
    for misuse in (lambda: np.asarray(array), lambda: array + np.ones(2),
                   lambda: np.ones(2) @ array, lambda: np.exp(array, np.ones(2)),
                   lambda: strict_cupy.namespace.maximum(array, np.ones(2))):
        with pytest.raises(TypeError):
            misuse()
    assert type(np.exp(array)) is type(array.sum()) is strict_cupy.ndarray
