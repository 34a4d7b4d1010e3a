"""GeomLoss on many problems in one call: `geomloss.ot.solve_batch`, and SamplesLoss on batches.

Each is asked for two problems, of which the first is the one to answer. The second has another
cost, so that a mixture of the two would be seen. All problems of a call share one schedule of eps,
which starts at the largest cost of any of them. A second problem of larger costs would change the
answer to the first (docs/findings.md, G10), so its costs are the smaller ones.
`geomloss.ot.solve_sample_batch` of 0.3.1 raises NotImplementedError, and is no part.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.convert import eps_from_refot, problem_to_refot
from refot.verification.subjects.subject import Part

from . import once, unsupported


def batched_losses(scaling: float, tolerance: float, per_atom: float) -> Iterator[Part]:
    """SamplesLoss of clouds (B, n, d), debiased: its value and its gradient in the points."""
    import torch
    from geomloss import SamplesLoss

    called = "geomloss.SamplesLoss(p=2)"

    def loss(x: Any, a: Array, y: Array, b: Array, eps: float, cost: str) -> Any:
        if cost != "sqeuclidean":
            raise unsupported(called, cost, "sqeuclidean")
        blur = eps_from_refot(called, eps)
        a, y, b = map(torch.tensor, (a, y, b))
        pairs = (torch.stack(pair) for pair in ((a, a), (x, x * 0.5**0.5), (b, b),
                                                (y, y * 0.5**0.5)))
        of_each = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=scaling)(*pairs)
        return of_each[0] / problem_to_refot(called, blur).scale

    def gradient(x: Array, *others: Any) -> Array:
        points = torch.tensor(x, requires_grad=True)
        loss(points, *others).backward()
        return points.grad.numpy()

    name = f"SamplesLoss('sinkhorn', p=2, scaling={scaling}) of a batch"
    yield Part(name, {"divergence": lambda x, *others: float(loss(torch.tensor(x), *others))},
               calls=called, tolerance=tolerance)
    yield Part(f"{name}.backward()", {"divergence_gradient": gradient}, calls=called,
               tolerance=per_atom)


def batched_matrices(iterations: int, tolerance: float, lag: float) -> Iterator[Part]:
    """`geomloss.ot.solve_batch`: values, plans and potentials of cost matrices (B, n, m)."""
    from geomloss import ot

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> Any:
        low = C.min()  # halved towards its minimum: below 0, C / 2 would be the larger cost
        return ot.solve_batch(np.stack([C, low + (C - low) / 2]), a=np.stack([a, a]),
                              b=np.stack([b, b]), reg=eps, max_iter=iterations)

    def potentials(*problem: Any) -> tuple[Array, Array]:
        solved = solve(*problem)
        return solved.potential_a[0], solved.potential_b[0]

    name, called = f"geomloss.ot.solve_batch(max_iter={iterations})", "geomloss.ot.solve"
    yield Part(f"{name}.value", {"value": lambda *problem: float(solve(*problem).value[0])},
               calls=called, tolerance=tolerance)
    yield Part(f"{name}.plan, .potential_a, .potential_b",
               {"plan": lambda *problem: solve(*problem).plan[0], "potentials": potentials},
               calls=called, tolerance=lag)
