"""GeomLoss (`import geomloss`) as a subject. https://www.kernel-operations.io/geomloss

`SamplesLoss` solves with the cost |x - y|^p / p at eps = blur^p. For p = 2 its values are half of
refot's at twice that eps, by F(t C, t eps) = t F(C, eps). Neither `SamplesLoss` nor `geomloss.ot`
has a stopping rule: they make one averaged update at each eps of a schedule. So potentials lag
behind the last eps by about one step of the schedule, and values by the square of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import eps_from_refot, problem_to_refot
from refot.verification.subjects.subject import Part, Subject

from . import as_clouds, once, require, unsupported

ACCURATE = 0.99
"""The `scaling` of the accurate twins: each step lowers the scale by 1 %. The default is .5, and
the documentation advises more than .9 for accuracy."""

ITERATIONS = 300
"""`max_iter` of `geomloss.ot`, where it is mandatory (its examples pass 100). It makes steps of 1
to 2.5 % for eps between 1/30 and 1/1000 of the largest cost."""

LAG = 0.1
"""The tolerance of plans and potentials, for their lag: ten steps of 1 %."""

SQUARED_LAG = 1e-3
"""The tolerance of values, whose error is of second order: ten times the square of a 1 % step."""

PER_ATOM = LAG / 20
"""The tolerance of gradients in x. The row of an atom is multiplied by the weight of the atom, and
so is its error due to the lag: a twentieth of LAG is taken."""


def subject() -> Subject:
    """The functions of GeomLoss for transport, balanced and not; `geomloss.ot` is new in 0.3.

    Raises ImportError without it, or torch.
    """
    require("torch", "PyTorch")
    geomloss = require("geomloss", "GeomLoss")
    from .geomloss_unbalanced import unbalanced, unbalanced_losses

    families = ((_debiased, _biased, _energy, _matrix, _samples, _batches, unbalanced)
                if find_spec("geomloss.ot")
                else (_debiased, _biased, _energy, _batched_losses, unbalanced_losses))
    return Subject("GeomLoss", geomloss.__version__,
                   tuple(part for family in families for part in family()))


# ------------------------------------------------------------------ SamplesLoss, debiased
def _debiased() -> Iterator[Part]:
    for p, costs in ((2, {"sqeuclidean": None}), (1, {"euclidean": None, "l1": _l1})):
        called, name = f"geomloss.SamplesLoss(p={p})", f"SamplesLoss('sinkhorn', p={p}"
        value, gradient = samples_loss(called, costs, p=p)
        yield Part(f"{name})", {"divergence": value, "divergence_gradient": gradient},
                   calls=called)
        value, gradient = samples_loss(called, costs, p=p, scaling=ACCURATE)
        yield Part(f"{name}, scaling={ACCURATE})", {"divergence": value}, calls=called,
                   tolerance=SQUARED_LAG)
        yield Part(f"{name}, scaling={ACCURATE}).backward()", {"divergence_gradient": gradient},
                   calls=called, tolerance=PER_ATOM)


def samples_loss(
    called: str, costs: dict[str, Any], **options: Any
) -> tuple[Callable[..., float], Callable[..., Array]]:
    """Functions for S and its gradient in x, for refot's cost and eps."""
    import torch
    from geomloss import SamplesLoss

    def loss(x: Any, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
        if cost not in costs:
            raise unsupported(called, cost, ", ".join(costs))
        blur = eps_from_refot(called, eps)
        halved = problem_to_refot(called, blur).scale
        a, y, b = map(torch.tensor, (a, y, b))
        return SamplesLoss("sinkhorn", blur=blur, cost=costs[cost], **options)(a, x, b, y) / halved

    def value(x: Array, *others: Any) -> float:
        return float(loss(torch.tensor(x), *others))

    def gradient(x: Array, *others: Any) -> Array:
        points = torch.tensor(x, requires_grad=True)
        loss(points, *others).backward()
        return points.grad.numpy()

    return value, gradient


def _l1(x: Any, y: Any) -> Any:
    """|x - y|_1 for batches of points (B, n, d), (B, m, d), as the parameter `cost` needs it."""
    return (x[:, :, None, :] - y[:, None, :, :]).abs().sum(-1)


# ------------------------------------------------------------------ SamplesLoss, not debiased
def _biased() -> Iterator[Part]:
    """F and its potentials. SamplesLoss accepts a function as `cost`. With one that ignores the
    points and returns a given matrix, it solves the problem of this matrix."""
    import torch
    from geomloss import SamplesLoss

    def solve(C: Array, a: Array, b: Array, eps: float, **options: Any) -> Any:
        matrix, a, b = map(torch.tensor, (C, a, b))
        # the points say only to which side they belong: 1 for rows, -1 for columns
        x, y = (side * torch.ones(size, 1, dtype=matrix.dtype)
                for side, size in zip((1, -1), C.shape, strict=True))
        loss = SamplesLoss("sinkhorn", p=1, blur=eps, debias=False, scaling=ACCURATE,
                           diameter=max(float(np.ptp(C)), eps),  # eps starts there
                           cost=lambda p, _: (matrix if p[0, 0, 0] > 0 else matrix.T)[None],
                           **options)
        return loss(a, x, b, y)

    def potentials(*problem: Any) -> tuple[Array, Array]:
        f, g = solve(*problem, potentials=True)
        return f.numpy()[0], g.numpy()[0]  # they have a batch axis, which is not documented

    name = f"SamplesLoss('sinkhorn', debias=False, cost=C, scaling={ACCURATE}"
    called = "geomloss.SamplesLoss(p=1, debias=False)"
    yield Part(f"{name})", {"value": lambda *problem: float(solve(*problem))},
               calls=called, tolerance=SQUARED_LAG)
    yield Part(f"{name}, potentials=True)", {"potentials": potentials}, calls=called,
               tolerance=LAG)


# ------------------------------------------------------------------ MMD
def _energy() -> Iterator[Part]:
    import torch
    from geomloss import SamplesLoss

    def mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
        if cost != "euclidean":
            raise unsupported("SamplesLoss('energy')", cost, "euclidean")
        half = SamplesLoss("energy")(*map(torch.tensor, (a, x, b, y)))  # it is MMD^2 / 2
        return 2 * float(half)

    yield Part("SamplesLoss('energy')", {"mmd": mmd})


# ------------------------------------------------------------------ geomloss.ot
def _matrix() -> Iterator[Part]:
    from geomloss import ot

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> Any:
        return ot.solve(C, a=a, b=b, reg=eps, max_iter=ITERATIONS)

    def potentials(*problem: Any) -> tuple[Array, Array]:
        solved = solve(*problem)
        return solved.potential_a, solved.potential_b

    name, called = f"geomloss.ot.solve(max_iter={ITERATIONS})", "geomloss.ot.solve"
    yield Part(f"{name}.value", {"value": lambda *problem: float(solve(*problem).value)},
               calls=called, tolerance=SQUARED_LAG)
    yield Part(f"{name}.plan, .potential_a, .potential_b",
               {"plan": lambda *problem: solve(*problem).plan, "potentials": potentials},
               calls=called, tolerance=LAG)


def _samples() -> Iterator[Part]:
    """`solve_sample` takes points and "sqeuclidean" only; matrices are given by `as_clouds`."""
    import torch
    from geomloss import ot

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Any, Array]:
        x, y, r = as_clouds(C)
        return ot.solve_sample(x, y, a=a, b=b, reg=eps, max_iter=ITERATIONS), r

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        solved, r = solve(C, a, b, eps)
        return float(solved.value - a @ r)

    def potentials(*problem: Any) -> tuple[Array, Array]:
        solved, r = solve(*problem)
        return solved.potential_a - r, solved.potential_b

    def debiased(x: Any, a: Any, y: Any, b: Any, eps: float, cost: str) -> Any:
        if cost != "sqeuclidean":
            raise unsupported("geomloss.ot.solve_sample", cost, "sqeuclidean")
        return ot.solve_sample(x, y, a=a, b=b, reg=eps, max_iter=ITERATIONS, debias=True).value

    def gradient(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Array:
        points = torch.tensor(x, requires_grad=True)
        debiased(points, torch.tensor(a), torch.tensor(y), torch.tensor(b), eps, cost).backward()
        return points.grad.numpy()

    name, called = f"geomloss.ot.solve_sample(max_iter={ITERATIONS}", "geomloss.ot.solve_sample"
    yield Part(f"{name}).value", {"value": value}, calls=called, tolerance=SQUARED_LAG)
    yield Part(f"{name}).plan, .potential_a, .potential_b",
               {"plan": lambda *problem: solve(*problem)[0].plan, "potentials": potentials},
               calls=called, tolerance=LAG)
    yield Part(f"{name}, debias=True).value", {"divergence": debiased}, calls=called,
               tolerance=SQUARED_LAG)
    yield Part(f"{name}, debias=True).value.backward()", {"divergence_gradient": gradient},
               calls=called, tolerance=PER_ATOM)


# ------------------------------------------------------------------ batches
def _batched_losses() -> Iterator[Part]:
    from .geomloss_batch import batched_losses

    yield from batched_losses(ACCURATE, SQUARED_LAG, PER_ATOM)


def _batches() -> Iterator[Part]:
    from .geomloss_batch import batched_matrices

    yield from batched_matrices(ITERATIONS, SQUARED_LAG, LAG)
    yield from _batched_losses()
