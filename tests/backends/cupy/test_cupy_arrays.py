"""The equations run on CuPy's arrays unchanged: each public function, on arrays that refuse NumPy.

The arrays are `cuda_host.strict_cupy`'s and the operations those of the CUDA kernels, compiled for
the processor. Each call is compared with the same call on NumPy arrays and the NumPy backend; both
solve to the same tolerance, so they agree to far better than RTOL unless something is wrong.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cuda_host import strict_cupy
from cuda_host.host import COMPILER, HostBackend
from every_equation import CALLS, EPS, EXACT, LAM, World, arrays, of

import refot
from refot import information, informative_plans, limits, printed, semidiscrete
from refot.backends.numpy.backend import NumpyBackend
from refot.solvers import METHODS

pytestmark = pytest.mark.skipif(COMPILER is None and os.environ.get("CI") != "true",
                                reason="no g++ here; CI has one")

RTOL = 1e-6
"""eps is about the mean cost, so a potential is off by few times what a marginal is: 1e-9."""

NOT_HERE = {
    "exact": "SciPy's linear programme: on the processor",
    "kantorovich": "SciPy's linear programme: on the processor",
    "get_backend": "no arrays", "backend_status": "no arrays", "load_solution": "a file",
}


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
