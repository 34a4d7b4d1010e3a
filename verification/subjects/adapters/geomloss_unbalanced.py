"""GeomLoss's unbalanced transport: `reach` of SamplesLoss, `unbalanced` and `reach` of geomloss.ot.

Neither has a stopping rule: they lower eps along a schedule, and stop at its end with potentials
that still belong to a slightly larger eps. `adapters/geomloss.py` calls this error the *lag*, and
explains the tolerances LAG and SQUARED_LAG that it requires. U-1 and U-8 are equations of
docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from refot.arrays import Array
from refot.conventions.unbalanced import parameters_from_refot, unbalanced_value_to_refot
from refot.verification.subjects.subject import Part

from . import once, unsupported
from .geomloss import ACCURATE, ITERATIONS, LAG, SQUARED_LAG

COSTS = {2: "sqeuclidean", 1: "euclidean"}
"""refot's ground cost for each p of SamplesLoss."""


def unbalanced() -> Iterator[Part]:
    """A part for each loss and each solver."""
    yield from unbalanced_losses()
    yield from _matrix()
    yield from _samples()


def unbalanced_losses() -> Iterator[Part]:
    """A part for each loss. GeomLoss before 0.3 has nothing else for unbalanced transport."""
    for p in COSTS:
        yield from _debiased(p)
    yield from _biased()


# ------------------------------------------------------------------ SamplesLoss
def _loss(p: int, called: str, **options: Any) -> Callable[..., Any]:
    """The SamplesLoss of this p, as a function of refot's arguments (x, a, y, b, eps, rho, cost).

    For p = 2 GeomLoss halves the cost, which multiplies the loss by `scale`; that is undone here.
    x may be a tensor that carries a gradient. `called` is the name of the convention.
    """
    import torch
    from geomloss import SamplesLoss

    def loss(x: Any, a: Array, y: Array, b: Array, eps: float, rho: float, cost: str) -> Any:
        if cost != COSTS[p]:
            raise unsupported(f"SamplesLoss(p={p})", cost, COSTS[p])
        theirs = parameters_from_refot(called, eps, rho)
        a, y, b = map(torch.tensor, (a, y, b))
        return SamplesLoss("sinkhorn", p=p, blur=theirs.eps, reach=theirs.rho, scaling=ACCURATE,
                           **options)(a, x, b, y) / theirs.scale

    return loss


def _debiased(p: int) -> Iterator[Part]:
    import torch

    called = f"geomloss.SamplesLoss(p={p}, reach)"
    loss = _loss(p, called)

    def gradient(x: Array, *others: Any) -> Array:
        points = torch.tensor(x, requires_grad=True)
        loss(points, *others).backward()
        return points.grad.numpy()

    name = f"SamplesLoss('sinkhorn', p={p}, reach=reach, scaling={ACCURATE})"
    yield Part(name, {"unbalanced_divergence": lambda x, *others: float(
        loss(torch.tensor(x), *others))}, calls=f"geomloss.SamplesLoss(p={p})",
        tolerance=SQUARED_LAG)
    # The balanced gradient has the smaller tolerance PER_ATOM. Here the lag (see above) adds nearly
    # the same number to all potentials f. That changes the mass of the plan, and so the gradient at
    # every atom; in balanced transport it would change nothing.
    yield Part(f"{name}.backward()", {"unbalanced_divergence_gradient": gradient},
               calls=f"geomloss.SamplesLoss(p={p})", tolerance=LAG)


def _biased() -> Iterator[Part]:
    """With debias=False the documentation promises the value U (U-1) of two clouds. refot has no
    capability for that, so three such values are combined into the divergence U-8."""
    import torch

    called = "geomloss.SamplesLoss(p=2, reach, debias=False)"
    loss = _loss(2, called, debias=False)

    def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, rho: float,
                   cost: str) -> float:
        xy, xx, yy = (float(loss(torch.tensor(u), p, v, q, eps, rho, cost))
                      for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))
        return xy - xx / 2 - yy / 2 + eps / 2 * float(a.sum() - b.sum()) ** 2

    yield Part(f"SamplesLoss('sinkhorn', p=2, reach=reach, debias=False, scaling={ACCURATE})",
               {"unbalanced_divergence": divergence},
               calls="geomloss.SamplesLoss(p=2, debias=False)", tolerance=SQUARED_LAG)


# ------------------------------------------------------------------ geomloss.ot
def _matrix() -> Iterator[Part]:
    from geomloss import ot

    @once
    def solve(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        return ot.solve(C, a=a, b=b, reg=eps, unbalanced=rho, max_iter=ITERATIONS)

    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        return unbalanced_value_to_refot("geomloss.ot.solve(unbalanced)",
                                         float(solve(C, a, b, eps, rho).value), a=a, b=b, eps=eps)

    def potentials(*problem: Any) -> tuple[Array, Array]:
        solved = solve(*problem)
        return solved.potential_a, solved.potential_b

    name, called = f"geomloss.ot.solve(unbalanced=rho, max_iter={ITERATIONS})", "geomloss.ot.solve"
    yield Part(f"{name}.value", {"unbalanced_value": value}, calls=called, tolerance=SQUARED_LAG)
    yield Part(f"{name}.plan, .potential_a, .potential_b",
               {"unbalanced_plan": lambda *problem: solve(*problem).plan,
                "unbalanced_potentials": potentials}, calls=called, tolerance=LAG)


def _samples() -> Iterator[Part]:
    from geomloss import ot

    def debiased(parameter: str, called: str) -> Callable[..., float]:
        def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, rho: float,
                       cost: str) -> float:
            if cost != "sqeuclidean":
                raise unsupported("geomloss.ot.solve_sample", cost, "sqeuclidean")
            theirs = parameters_from_refot(called, eps, rho)
            return float(ot.solve_sample(x, y, a=a, b=b, reg=theirs.eps, max_iter=ITERATIONS,
                                         debias=True, **{parameter: theirs.rho}).value)

        return divergence

    for parameter, called in (
        ("unbalanced", "geomloss.ot.solve_sample(unbalanced)"),
        ("reach", "geomloss.ot.solve_sample(reach)"),
    ):
        yield Part(
            f"geomloss.ot.solve_sample({parameter}=..., max_iter={ITERATIONS}, debias=True).value",
            {"unbalanced_divergence": debiased(parameter, called)},
            calls="geomloss.ot.solve_sample(debias=True)", tolerance=SQUARED_LAG)
