"""refot's own equations on one of its backends, as a subject like any other."""

from __future__ import annotations

from functools import partial
from typing import Any

import refot
from refot.arrays import Array
from refot.backend_contract import Backend
from refot.gradients import sinkhorn_divergence_gradient
from refot.unrolled import scaling_loss_gradient
from refot.verification.subjects.subject import Part, Subject


def subject(backend: Backend) -> Subject:
    """The subject `numpy`, `numba` or `cupy`."""
    part = Part(f"refot on {backend.name}", {
        "plan": partial(_plan, backend),
        "potentials": partial(_potentials, backend),
        "converged": partial(_converged, backend),
        "value": partial(refot.entropic_value, backend=backend),
        "transport_cost": partial(refot.sharp_value, backend=backend),
        "softmin": partial(_on_host, backend, refot.softmin),
        "dual": partial(refot.dual, backend=backend),
        "semidual": partial(refot.semi_dual, backend=backend),
        "semidual_gradient": partial(_on_host, backend, refot.semi_dual_gradient),
        "scaling_loss": refot.scaling_loss,
        "scaling_loss_gradient": scaling_loss_gradient,
        "divergence": partial(refot.sinkhorn_divergence, backend=backend),
        "divergence_gradient": partial(_on_host, backend, sinkhorn_divergence_gradient),
        "mmd": refot.mmd_squared,
        "q_objective": refot.q_objective,
        "informative_plan": partial(_informative_plan, backend),
        "mutual_information": refot.mutual_information,
        "unbalanced_plan": partial(_unbalanced_plan, backend),
        "unbalanced_potentials": partial(_unbalanced_potentials, backend),
        "unbalanced_value": partial(refot.unbalanced_value, backend=backend),
        "unbalanced_mass_gradient": partial(
            _on_host, backend, refot.unbalanced_value_gradient_weights),
        "unbalanced_divergence": partial(refot.unbalanced_divergence, backend=backend),
        "unbalanced_divergence_gradient": partial(
            _on_host, backend, refot.unbalanced_divergence_gradient),
    }, allows={"infinite-cost": "an entry inf forbids the pair (docs/forbidden-pairs.md)"})
    return Subject(f"refot on {backend.name}", refot.__version__, (part,))


def _on_host(backend: Backend, equation: Any, *arguments: Any) -> Array:
    return backend.to_numpy(equation(*arguments, backend=backend))


def _potentials(backend: Backend, C: Any, a: Any, b: Any, eps: float) -> tuple[Array, Array]:
    solved = refot.solve(C, a, b, eps, backend=backend)
    return backend.to_numpy(solved.f), backend.to_numpy(solved.g)


def _converged(backend: Backend, C: Any, a: Any, b: Any, eps: float) -> bool:
    return refot.solve(C, a, b, eps, backend=backend).converged


def _plan(backend: Backend, C: Any, a: Any, b: Any, eps: float) -> Array:
    solved = refot.solve(C, a, b, eps, backend=backend)
    return backend.to_numpy(refot.plan(solved.f, solved.g, C, a, b, eps, backend=backend))


def _informative_plan(
    backend: Backend, C: Any, Q: Any, lam: float, a: Any, b: Any, eps: float
) -> Array:
    P, _ = refot.informative_plan(C, Q, lam, a, b, eps, backend=backend)
    return backend.to_numpy(P)


def _unbalanced_potentials(
    backend: Backend, C: Any, a: Any, b: Any, eps: float, rho: float
) -> tuple[Array, Array]:
    solved = refot.solve(C, a, b, eps, rho=rho, backend=backend)
    return backend.to_numpy(solved.f), backend.to_numpy(solved.g)


def _unbalanced_plan(
    backend: Backend, C: Any, a: Any, b: Any, eps: float, rho: float
) -> Array:
    solved = refot.solve(C, a, b, eps, rho=rho, backend=backend)
    return backend.to_numpy(
        refot.unbalanced_plan(solved.f, solved.g, C, a, b, eps, backend=backend))
