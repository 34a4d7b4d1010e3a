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
        **TEMPORARY,
    }, allows={"infinite-cost": "an entry inf forbids the pair (docs/forbidden-pairs.md)"})
    return Subject(backend.name, refot.__version__, (part,))


def _temporary():  # type: ignore[no-untyped-def]
    from refot.verification.truth.unbalanced import unbalanced_solution
    from refot.verification.truth.unbalanced_right import UNBALANCED_RIGHT

    def guarded(function):  # type: ignore[no-untyped-def]
        def call(*args):  # type: ignore[no-untyped-def]
            import numpy as np
            if len(args) == 5:
                C, a, b, eps, rho = args
            else:
                C, a, y, b, eps, rho, cost = args
            if not (np.isfinite(C).all() and (a >= 0).all() and (b >= 0).all() and eps > 0
                    and rho > 0 and len(a) == len(C) and len(a)):
                raise ValueError("bad")
            return function(*args)
        return call

    made = {name: guarded(f) for name, f in UNBALANCED_RIGHT.items()}
    made["unbalanced_potentials"] = guarded(lambda *p: unbalanced_solution(*p).potentials)
    return made


TEMPORARY = _temporary()


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
