"""POT (`import ot`) as a subject. https://pythonot.github.io

Its functions take (a, b, M, reg), the weights first. `ot.sinkhorn` returns a plan, `ot.sinkhorn2`
the sharp cost, and `ot.solve` an OTResult with a KL or entropy value and log scalings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import PotentialForm, convention, potentials_to_refot, value_to_refot
from refot.verification.subjects.subject import Part, Subject

from . import Capabilities, as_clouds, once, require, unsupported
from .pot_batch import batch
from .pot_da import estimators
from .pot_unbalanced import unbalanced

SINKHORN = {
    "sinkhorn": "pot.sinkhorn2",
    "sinkhorn_log": "pot.sinkhorn2",
    "sinkhorn_stabilized": "pot.sinkhorn2",
    "greenkhorn": "pot.greenkhorn",
    "sinkhorn_epsilon_scaling": "pot.sinkhorn_epsilon_scaling",
}
"""The methods of `ot.sinkhorn` for balanced problems, each with its convention."""

SINKHORN2 = ("sinkhorn", "sinkhorn_log", "sinkhorn_stabilized")
"""The methods that `ot.sinkhorn2` accepts. Its documentation also recommends the last two of
SINKHORN, which its code refuses."""

METRICS = {"sqeuclidean": "sqeuclidean", "euclidean": "euclidean", "l1": "cityblock"}
"""refot's ground costs by the names that `ot.dist` gives them."""

STEPS = 10_000
"""Steps of SAG (its default) and of ASGD (its default is 300 000): about 0.3 s."""

DUAL_STEPS = 4_000
"""Steps of the dual SGD (its default is 10 000): also about 0.3 s, since each takes longer."""

EXACT = {"zero-eps": "reg = 0 is exact transport"}
"""Bad input that is none to `ot.solve` and `ot.solve_sample`: the name of the fault (eps = 0), and
what their documentation says of it."""


def _sgd_tolerance(steps: int) -> float:
    """The tolerance of ASGD and of the dual SGD, whose error falls as 1 / sqrt(steps).

    The constant is not documented; 10 is taken.
    """
    return 10 / float(np.sqrt(steps))


def subject() -> Subject:
    """The functions of POT for entropic transport, balanced and not.

    Raises ImportError without POT.
    """
    ot = require("ot", "POT")
    families = (_sinkhorn, _solve, _batch, _solve_sample, _empirical, _unrolled,
                _of_potentials, _stochastic, estimators, unbalanced)
    return Subject("POT", ot.__version__, tuple(part for family in families for part in family(ot)))


def _weights_first(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A function of POT with the arguments (a, b, M, reg), as one with (C, a, b, eps)."""
    return lambda C, a, b, eps: function(a, b, C, eps, **options)


# ------------------------------------------------------------------ plans and sharp costs
def _sinkhorn(ot: ModuleType) -> Iterator[Part]:
    for method, called in SINKHORN.items():
        yield Part(f"ot.sinkhorn(method='{method}')",
                   {"plan": _weights_first(ot.sinkhorn, method=method)}, calls=called)
    for method in SINKHORN2:
        yield Part(f"ot.sinkhorn2(method='{method}')",
                   {"transport_cost": _weights_first(ot.sinkhorn2, method=method)},
                   calls="pot.sinkhorn2")
    yield Part("ot.bregman.greenkhorn", {"plan": _weights_first(ot.bregman.greenkhorn)},
               calls="pot.greenkhorn")
    yield Part("ot.bregman.screenkhorn", {"plan": _weights_first(ot.bregman.screenkhorn)},
               calls="pot.sinkhorn2")


# ------------------------------------------------------------------ ot.solve and its OTResult
def _solve(ot: ModuleType) -> Iterator[Part]:
    for reg_type, called in (("KL", "pot.solve"), ("entropy", "pot.solve(entropy)")):
        def solve(C: Array, a: Array, b: Array, eps: float, reg_type: str = reg_type) -> Any:
            return ot.solve(C, a, b, reg=eps, reg_type=reg_type)

        yield Part(f"ot.solve(reg_type='{reg_type}')", _result(once(solve), called),
                   calls=called, allows=EXACT)


def _batch(ot: ModuleType) -> Iterator[Part]:
    yield from batch(ot, _result)


def _result(solve: Callable[..., Any], called: str) -> Capabilities:
    """The capabilities that are documented as fields of the OTResult of `solve(C, a, b, eps)`."""
    kind = convention(called).value
    assert kind is not None
    return {
        "plan": lambda *problem: solve(*problem).plan,
        "potentials": lambda *problem: _density(*solve(*problem).potentials, *problem),
        "value": lambda C, a, b, eps: value_to_refot(
            solve(C, a, b, eps).value, kind, a=a, b=b, eps=eps),
        "transport_cost": lambda *problem: solve(*problem).value_linear,
    }


def _density(u: Array, v: Array, C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """(f, g) from log scalings, P_ij = exp(u_i + v_j - C_ij / eps)."""
    return potentials_to_refot(u, v, PotentialForm.LOG_SCALING, a, b, eps, C=C)


# ------------------------------------------------------------------ functions of points
def _indexed(C: Array) -> tuple[Array, Array, Callable[[Array, Array], float]]:
    """Points that are their own index, and a metric that looks up the cost of two in C."""
    rows, columns = (np.arange(size, dtype=C.dtype)[:, None] for size in C.shape)
    return rows, columns, lambda i, j: float(C[int(i[0]), int(j[0])])


def _metric(cost: str, function: str) -> str:
    if cost not in METRICS:
        raise unsupported(function, cost, ", ".join(METRICS))
    return METRICS[cost]


def _solve_sample(ot: ModuleType) -> Iterator[Part]:
    def dense(C: Array, a: Array, b: Array, eps: float) -> Any:
        rows, columns, metric = _indexed(C)
        return ot.solve_sample(rows, columns, a, b, metric=metric, reg=eps)

    yield Part("ot.solve_sample", _result(once(dense), "pot.solve"), calls="pot.solve",
               allows=EXACT)
    yield _lazy(ot)

    def divergence(x: Any, a: Any, y: Any, b: Any, eps: float, cost: str) -> Any:
        metric = _metric(cost, "ot.solve_sample")
        return ot.solve_sample(x, y, a, b, metric=metric, reg=eps, debias=True).value

    def gradient(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Array:
        torch = require("torch", "PyTorch")
        points = torch.tensor(x, requires_grad=True)
        divergence(points, torch.tensor(a), torch.tensor(y), torch.tensor(b), eps, cost).backward()
        return points.grad.numpy()

    if "debias" in inspect.signature(ot.solve_sample).parameters:  # from POT 0.9.7 on
        yield Part("ot.solve_sample(debias=True)",
                   {"divergence": divergence, "divergence_gradient": gradient},
                   calls="pot.solve_sample(debias)", allows=EXACT)


def _lazy(ot: ModuleType) -> Part:
    """`ot.solve_sample(lazy=True)`, which forms the cost in blocks, anew at each iteration.

    The cost is given as the points of `as_clouds`. The attribute `value` of its result is None, so
    that no value is offered.
    """

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Any, Array]:
        x, y, r = as_clouds(C)
        return ot.solve_sample(x, y, a, b, reg=eps, lazy=True), r

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        solved, r = solve(C, a, b, eps)
        u, v = solved.potentials
        f, g = _density(u, v, C + r[:, None], a, b, eps)
        return f - r, g

    def transport_cost(C: Array, a: Array, b: Array, eps: float) -> float:
        solved, r = solve(C, a, b, eps)
        rows = solved.lazy_plan[:].sum(axis=1)  # differs from a if the solve did not converge
        return float(solved.value_linear - rows @ r)

    return Part("ot.solve_sample(lazy=True)", {
        "plan": lambda *problem: solve(*problem)[0].lazy_plan[:],
        "potentials": potentials, "transport_cost": transport_cost,
    }, calls="pot.solve_sample(lazy)")


def _empirical(ot: ModuleType) -> Iterator[Part]:
    bregman = ot.bregman

    def on_indices(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(C: Array, a: Array, b: Array, eps: float) -> Any:
            rows, columns, metric = _indexed(C)
            return function(rows, columns, eps, a, b, metric=metric)
        return call

    def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
        metric = _metric(cost, "empirical_sinkhorn_divergence")
        return bregman.empirical_sinkhorn_divergence(x, y, eps, a, b, metric=metric)

    def by_geomloss(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
        if cost not in ("sqeuclidean", "euclidean"):
            raise unsupported("empirical_sinkhorn2_geomloss", cost, "sqeuclidean, euclidean")
        require("geomloss", "GeomLoss")
        return bregman.empirical_sinkhorn2_geomloss(x, y, eps, a, b, metric=cost, debias=True)

    yield Part("ot.bregman.empirical_sinkhorn",
               {"plan": on_indices(bregman.empirical_sinkhorn)}, calls="pot.sinkhorn2")
    yield Part("ot.bregman.empirical_sinkhorn2",
               {"transport_cost": on_indices(bregman.empirical_sinkhorn2)}, calls="pot.sinkhorn2")
    # Documented is S = W - (W_a + W_b) / 2 with W = min <P,M> + reg Omega(P), which is B-9.
    yield Part("ot.bregman.empirical_sinkhorn_divergence",
               {"divergence": divergence}, calls="pot.empirical_sinkhorn_divergence")
    # Documented is the debiased value of the cost |x - y|^2 or |x - y|, without a factor 1/2.
    yield Part("ot.bregman.empirical_sinkhorn2_geomloss(debias=True)",
               {"divergence": by_geomloss}, calls="pot.solve_sample(debias)")


# ------------------------------------------------------------------ a fixed number of steps
def _unrolled(ot: ModuleType) -> Iterator[Part]:
    """The loss G-8 of Genevay, Peyré, Cuturi 2018. The paper updates the rows first and POT
    the columns, so POT is given the transposed problem."""

    def loss(C: Any, a: Any, b: Any, eps: float, L: int) -> Any:
        start = ot.backend.get_backend(b).log(b)  # its logarithm: v starts at b
        return ot.sinkhorn2(b, a, C.T, eps, numItermax=L, stopThr=0, warmstart=(start, 0 * a))

    def gradient(C: Array, a: Array, b: Array, eps: float, L: int) -> Array:
        torch = require("torch", "PyTorch")
        cost = torch.tensor(C, requires_grad=True)
        loss(cost, torch.tensor(a), torch.tensor(b), eps, L).backward()
        return cost.grad.numpy()

    yield Part("ot.sinkhorn2(numItermax=L, stopThr=0)",
               {"scaling_loss": loss, "scaling_loss_gradient": gradient}, calls="pot.sinkhorn2")


# ------------------------------------------------------------------ given potentials
def _of_potentials(ot: ModuleType) -> Iterator[Part]:
    stochastic = ot.stochastic

    def softmin(C: Array, h: Array, eps: float) -> Array:
        ones = np.ones_like(h)  # POT's function takes weights, which a softmin does not have
        return stochastic.c_transform_entropic(ones, C, eps, h)

    def dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
        """Documented as (6)-(7) of Seguy et al. 2018, which lack the constant eps of B-13."""
        places = (np.zeros((size, 1), dtype=C.dtype) for size in C.shape)
        loss = stochastic.loss_dual_entropic(f, g, *places, reg=eps, ws=a, wt=b,
                                             metric=lambda *_: C)
        return float(loss) + eps

    def semidual_gradient(g: Array, C: Array, a: Array, b: Array, eps: float) -> Array:
        """sum_i a_i (b - chi_i), where chi_i is the law of y given x_i. The function of POT returns
        b - chi_i for one i."""
        return sum(weight * stochastic.coordinate_grad_semi_dual(b, C, eps, g, i)
                   for i, weight in enumerate(a))

    yield Part("ot.stochastic.c_transform_entropic", {"softmin": softmin})
    yield Part("ot.stochastic.loss_dual_entropic", {"dual": dual})
    yield Part("ot.stochastic.coordinate_grad_semi_dual", {"semidual_gradient": semidual_gradient})


# ------------------------------------------------------------------ stochastic solvers
def _stochastic(ot: ModuleType) -> Iterator[Part]:
    semi_dual = ot.stochastic.solve_semi_dual_entropic
    # SAG converges linearly on a finite sum, so that it gets refot's usual tolerance.
    for method, tolerance in (("SAG", None), ("ASGD", _sgd_tolerance(STEPS))):
        solve = _seeded(_weights_first(semi_dual, method=method, numItermax=STEPS))
        yield Part(f"ot.stochastic.solve_semi_dual_entropic(method='{method}')", {"plan": solve},
                   tolerance=tolerance)

    def dual(C: Array, a: Array, b: Array, eps: float) -> Any:
        # The batch size is mandatory; the largest possible one is taken.
        return ot.stochastic.solve_dual_entropic(a, b, C, eps, min(C.shape), numItermax=DUAL_STEPS)

    yield Part("ot.stochastic.solve_dual_entropic(batch_size=min(n, m))", {"plan": _seeded(dual)},
               tolerance=_sgd_tolerance(DUAL_STEPS))


def _seeded(solve: Callable[..., Any]) -> Callable[..., Any]:
    """`solve` with a fixed seed, since POT's stochastic solvers draw from NumPy's global state."""

    def call(*arguments: Any) -> Any:
        with _global_seed(0):
            return solve(*arguments)

    return call


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    before = np.random.get_state()  # noqa: NPY002 - the state that POT draws from
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
