"""OTT-JAX (`import ott`) as a subject. https://ott-jax.readthedocs.io

Its solver returns potentials in plain form, P_ij = exp((f_i + g_j - C_ij) / eps), and several
values of one solve. It neither raises nor warns; a user has to look at `converged`. Arrays are used
in the precision in which they come (float64 is switched on around each call, not globally). Calls
are jitted, as users do it, so that each new shape costs a compilation of about a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import (
    PotentialForm,
    ValueKind,
    potentials_from_refot,
    potentials_to_refot,
    value_to_refot,
)
from refot.verification.subjects.subject import Part, Subject

from . import require, unsupported
from .ott_unbalanced import unbalanced

Solver = Callable[..., dict[str, Array]]
"""(C, a, b, eps, threshold) -> the fields of a SinkhornOutput by name."""


def subject() -> Subject:
    """The functions of OTT-JAX for entropic transport, balanced and not.

    Raises ImportError without it.
    """
    ott = require("ott", "OTT-JAX")
    threshold = _default_threshold()
    return Subject("OTT-JAX", ott.__version__, (
        *_sinkhorn(threshold), *_divergence(threshold), _dual(), _softmin(),
        *unbalanced(_compiled, threshold)))


def _default_threshold() -> float:
    """The L1 error of the column sums at which OTT stops (1e-3 in version 0.6).

    It is what OTT promises, and so the tolerance of the parts with default options.
    """
    from ott.solvers.linear.sinkhorn import Sinkhorn

    return float(Sinkhorn().threshold)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, jitted. It takes and returns NumPy arrays, and keeps float64.

    Most of the time is spent on compiling, and compiling without optimisation saves a third of it.
    """
    import jax

    quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    jitted = jax.jit(function, compiler_options=quick)

    def call(*arguments: Any) -> Any:
        with jax.enable_x64(True):
            return jax.tree.map(np.asarray, jitted(*arguments))

    return call


# ------------------------------------------------------------------ one solve, its values
def _sinkhorn(threshold: float) -> Iterator[Part]:
    called, any_threshold = "ott.reg_ot_cost", _solver(lse_mode=True)
    default = partial(any_threshold, threshold=threshold)
    yield Part("Sinkhorn()", _output(default), calls=called, tolerance=threshold)
    for attribute in ("ent_reg_cost", "dual_cost"):
        yield Part(f"Sinkhorn().{attribute}", {"value": _entropic(default, attribute)},
                   calls=f"ott.{attribute}", tolerance=threshold)
    scaling = partial(_solver(lse_mode=False), threshold=threshold)
    yield Part("Sinkhorn(lse_mode=False)", _output(scaling), calls=called, tolerance=threshold)
    # The twin, which converges: it shows that what the default misses is due to its threshold.
    yield Part("Sinkhorn(threshold=1e-9)", _output(partial(any_threshold, threshold=1e-9)),
               calls=called)


def _solver(lse_mode: bool) -> Solver:
    """The solver of OTT in the log domain (`lse_mode`) or in scalings."""
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    def solve(C: Any, a: Any, b: Any, eps: Any, threshold: Any) -> dict[str, Any]:
        solver = Sinkhorn(lse_mode=lse_mode, threshold=threshold)
        solved = solver(LinearProblem(Geometry(C, epsilon=eps), a=a, b=b))
        held = ("matrix", "f", "g", "reg_ot_cost", "primal_cost", "ent_reg_cost", "dual_cost",
                "converged")
        return {name: getattr(solved, name) for name in held}

    compiled = _compiled(solve)
    return lambda C, a, b, eps, threshold: compiled(C, a, b, eps, threshold)


def _output(solve: Solver) -> dict[str, Callable[..., Any]]:
    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        solved = solve(C, a, b, eps)
        return potentials_to_refot(solved["f"], solved["g"], PotentialForm.PLAIN, a, b, eps, C=C)

    return {
        "plan": lambda *problem: solve(*problem)["matrix"],
        "potentials": potentials,
        "converged": lambda *problem: solve(*problem)["converged"],
        "value": lambda *problem: solve(*problem)["reg_ot_cost"],
        "transport_cost": lambda *problem: solve(*problem)["primal_cost"],
    }


def _entropic(solve: Solver, attribute: str) -> Callable[..., float]:
    """F from the value <C,P> - eps H(P) that this attribute holds."""
    return lambda C, a, b, eps: value_to_refot(
        solve(C, a, b, eps)[attribute], ValueKind.ENTROPY, a=a, b=b, eps=eps)


# ------------------------------------------------------------------ divergence of point clouds
def _divergence(threshold: float) -> Iterator[Part]:
    import jax
    from ott.geometry import costs
    from ott.geometry.pointcloud import PointCloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    cost_of = {"sqeuclidean": costs.SqEuclidean(), "euclidean": costs.Euclidean(),
               "l1": costs.PNormP(1)}

    def value(x: Any, a: Any, y: Any, b: Any, eps: Any, cost_fn: Any) -> Any:
        return sinkhorn_divergence(PointCloud, x, y, cost_fn=cost_fn, epsilon=eps, a=a, b=b)[0]

    def on_clouds(function: Callable[..., Any]) -> Callable[..., Any]:
        compiled = _compiled(function)

        def call(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
            if cost not in cost_of:
                raise unsupported("sinkhorn_divergence", cost, ", ".join(cost_of))
            return compiled(x, a, y, b, eps, cost_of[cost])

        return call

    # value_and_grad computes the value by other code (jvp rules), so it is a part of its own. Its
    # tolerance is a tenth, since the error of a gradient is shared among the atoms.
    both = on_clouds(jax.value_and_grad(value))
    yield Part("sinkhorn_divergence(PointCloud)", {"divergence": on_clouds(value)},
               calls="ott.sinkhorn_divergence", tolerance=threshold)
    yield Part("jax.value_and_grad(sinkhorn_divergence(PointCloud))", {
        "divergence": lambda *clouds: both(*clouds)[0],
        "divergence_gradient": lambda *clouds: both(*clouds)[1],
    }, calls="ott.sinkhorn_divergence", tolerance=threshold / 10)


# ------------------------------------------------------------------ given potentials
def _dual() -> Part:
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import compute_kl_reg_cost

    def of_plain(F: Any, G: Any, C: Any, a: Any, b: Any, eps: Any) -> Any:
        problem = LinearProblem(Geometry(C, epsilon=eps), a=a, b=b)
        return compute_kl_reg_cost(F, G, problem, lse_mode=True)

    compiled = _compiled(of_plain)

    def dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> Any:
        F, G = potentials_from_refot(f, g, PotentialForm.PLAIN, a, b, eps)
        return compiled(F, G, C, a, b, eps)

    return Part("compute_kl_reg_cost", {"dual": dual}, calls="ott.reg_ot_cost")


def _softmin() -> Part:
    import jax
    from ott.geometry.geometry import Geometry

    def softmin(C: Any, h: Any, eps: Any) -> Any:
        unused = jax.numpy.zeros_like(C[:, 0])
        return -Geometry(C, epsilon=eps).apply_lse_kernel(unused, h, eps, axis=1)[0]

    return Part("Geometry.apply_lse_kernel", {"softmin": _compiled(softmin)})
