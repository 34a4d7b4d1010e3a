"""KeOps (`from pykeops.torch import LazyTensor`) as a subject. https://www.kernel-operations.io

KeOps is no solver. It computes sums and log-sum-exps of a formula over all pairs (i, j), with code
that it compiles when a formula, dimension and precision are first used. That needs a C++ compiler
and some 6 s, and the result is kept on disk. Verified are the reductions of which Sinkhorn loops
and energy distances are made, their gradients by its automatic differentiation, and GeomLoss on its
`online` backend, which uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.subjects.subject import Part, Subject

from . import Capabilities, as_clouds, require, unsupported
from .geomloss import ACCURATE, PER_ATOM, SQUARED_LAG, samples_loss

HOW = "pip install pykeops, and a C++ compiler"
"""How to get the library."""

DIMENSIONS = 64
"""`as_clouds` turns a cost matrix with m columns into points with m coordinates. They are padded
with zeros to this many, so that one compiled formula serves all costs with at most this many
columns."""

COSTS: dict[str, Callable[[Any], Any]] = {
    "sqeuclidean": lambda r: (r**2).sum(-1),
    "euclidean": lambda r: r.norm2(),
    "l1": lambda r: r.abs().sum(-1),
}
"""refot's ground costs as formulas of r = x_i - y_j."""


def subject() -> Subject:
    """The reductions of KeOps. Raises ImportError without it, torch or GeomLoss."""
    require("torch", "PyTorch")
    require("geomloss", "GeomLoss")
    pykeops = require("pykeops", "KeOps", HOW)
    pykeops.set_verbose(False)
    return Subject("KeOps", pykeops.__version__,
                   (_log_sum_exp(), _of_points(), _dual(), _energy(), *_online()))


def _lazy(x: Any) -> Any:
    from pykeops.torch import LazyTensor

    return LazyTensor(x.contiguous())


def _matrix(C: Array) -> Any:
    """C as a formula. KeOps takes its rows as a batch of n problems, each with one i and all j."""
    import torch

    return _lazy(torch.tensor(C)[:, None, :, None])


# ------------------------------------------------------------------ log-sum-exp
def _log_sum_exp() -> Part:
    import torch

    def transform(C: Array, h: Any, eps: float) -> Any:
        scores = (_lazy(h[None, None, :, None]) - _matrix(C)) / eps
        return -eps * scores.logsumexp(dim=2).reshape(len(C))

    def loss(g: Any, C: Array, a: Array, b: Array, eps: float) -> Any:
        a, b = torch.tensor(a), torch.tensor(b)
        return a @ transform(C, g + eps * b.log(), eps) + b @ g

    return Part("LazyTensor.logsumexp", {
        "softmin": lambda C, h, eps: transform(C, torch.tensor(h), eps).numpy(),
        **_differentiated(loss)})


def _differentiated(loss: Callable[..., Any]) -> Capabilities:
    """The semi-dual, and its gradient by automatic differentiation."""
    import torch

    def gradient(g: Array, *problem: Any) -> Array:
        variable = torch.tensor(g, requires_grad=True)
        loss(variable, *problem).backward()
        return variable.grad.numpy()

    return {"semidual": lambda g, *problem: float(loss(torch.tensor(g), *problem)),
            "semidual_gradient": gradient}


def _of_points() -> Part:
    """-eps log sum_j exp((h_j - C_ij) / eps), computed from the points of `as_clouds`: their
    squared distances are C_ij + r_i, so r_i is subtracted from the result."""
    import torch

    def padded(points: Array) -> Any:
        return torch.tensor(np.pad(points, ((0, 0), (0, DIMENSIONS - points.shape[1]))))

    def softmin(C: Array, h: Array, eps: float) -> Array:
        if C.shape[1] > DIMENSIONS:
            raise NotImplementedError(f"costs of more than {DIMENSIONS} columns")
        x, y, r = as_clouds(C)
        squares = COSTS["sqeuclidean"](_lazy(padded(x)[:, None]) - _lazy(padded(y)[None]))
        scores = (_lazy(torch.tensor(h)[None, :, None]) - squares) / eps
        return -eps * scores.logsumexp(dim=1).reshape(len(x)).numpy() - r

    return Part("LazyTensor((x - y)**2).logsumexp", {"softmin": softmin})


# ------------------------------------------------------------------ sums
def _dual() -> Part:
    import torch

    def dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
        scores = (_lazy(torch.tensor(f)[:, None, None, None])
                  + _lazy(torch.tensor(g)[None, None, :, None]) - _matrix(C)) / eps
        weighted = scores.exp() * _lazy(torch.tensor(b)[None, None, :, None])
        mass = float(torch.tensor(a) @ weighted.sum(dim=2).reshape(len(a)))
        return float(a @ f + b @ g) + eps - eps * mass

    return Part("LazyTensor.exp().sum", {"dual": dual})


def _energy() -> Part:
    import torch

    def mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
        if cost not in COSTS:
            raise unsupported("the energy distance", cost, ", ".join(COSTS))

        def mean(p: Array, u: Array, q: Array, v: Array) -> float:
            r = _lazy(torch.tensor(u)[:, None]) - _lazy(torch.tensor(v)[None])
            return float(torch.tensor(p) @ (COSTS[cost](r) @ torch.tensor(q)[:, None])[:, 0])

        return 2 * mean(a, x, b, y) - mean(a, x, a, x) - mean(b, y, b, y)

    return Part("LazyTensor(|x - y|) @ b", {"mmd": mmd})


# ------------------------------------------------------------------ GeomLoss on KeOps
def _online() -> Iterator[Part]:
    for p, costs in ((2, {"sqeuclidean": None}), (1, {"euclidean": None})):
        called = f"geomloss.SamplesLoss(p={p})"
        value, gradient = samples_loss(called, costs, p=p, scaling=ACCURATE, backend="online")
        name = f"SamplesLoss('sinkhorn', p={p}, scaling={ACCURATE}, backend='online')"
        yield Part(name, {"divergence": value}, calls=called, tolerance=SQUARED_LAG)
        yield Part(f"{name}.backward()", {"divergence_gradient": gradient}, calls=called,
                   tolerance=PER_ATOM)
