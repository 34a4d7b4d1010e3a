"""GeomLoss (tensorized, and with KeOps online and multiscale), and flash-sinkhorn on a GPU.

GeomLoss has no stopping rule. It makes one averaged update at each eps of a falling schedule, in
which blur = sqrt(eps) is multiplied by `scaling`. The accuracy of the benchmark stands for
1 - scaling. Its cost is |x - y|^2 / 2, half of refot's, at eps = blur^2: so blur is sqrt(eps / 2)
for refot's eps, and its potentials are doubled.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance

from .peer import Peer, Solve


def tensors(instance: Instance, device: str, dtype: Any) -> list[Any]:
    """[a, x, a, y] as tensors; both sides have the same uniform weights a."""
    import torch

    arrays = (instance.a, instance.x, instance.a, instance.y)
    return [torch.as_tensor(np.ascontiguousarray(array), device=device, dtype=dtype)
            for array in arrays]


def geomloss(instance: Instance, *, backend: str) -> Solve:
    """`SamplesLoss("sinkhorn", debias=False, potentials=True)` with that backend."""
    import torch
    from geomloss import SamplesLoss

    measures, blur = tensors(instance, "cpu", torch.float64), math.sqrt(instance.eps / 2)

    def solve(accuracy: float) -> Answer:
        loss = SamplesLoss("sinkhorn", p=2, blur=blur, scaling=1 - accuracy, debias=False,
                           potentials=True, backend=backend)
        with torch.no_grad():
            f, g = (2 * potential.numpy().reshape(-1) for potential in loss(*measures))
        return Answer(f, g)

    return solve


def keops_softmin(x: Any, y: Any, h: Any, eps: float) -> Any:
    """-eps log sum_j exp((h_j - |x_i - y_j|^2) / eps), (n, 1), by KeOps's streaming log-sum-exp, as
    GeomLoss's online backend calls it. x (n, d), y (m, d), h (m,) are tensors."""
    from pykeops.torch import LazyTensor

    squares = ((LazyTensor(x[:, None, :]) - LazyTensor(y[None, :, :])) ** 2).sum(-1)
    return -eps * ((LazyTensor(h[None, :, None]) - squares) / eps).logsumexp(dim=1)


def keops_half(instance: Instance) -> Callable[[], Any]:
    """A half-iteration by KeOps."""
    import torch

    _, x, _, y = tensors(instance, "cpu", torch.float64)
    h = torch.zeros(len(y), dtype=torch.float64)
    return lambda: keops_softmin(x, y, h, instance.eps)


def keops_sinkhorn(instance: Instance, *, device: str) -> Solve:
    """Sinkhorn's iteration with KeOps's softmins, in float64. It has no tolerance: the accuracy
    stands for 1 / the number of iterations."""
    import torch

    a, x, _, y = tensors(instance, device, torch.float64)
    eps, eps_log_a = instance.eps, instance.eps * a.log()

    def solve(accuracy: float) -> Answer:
        iterations, g = math.ceil(1 / accuracy), torch.zeros_like(a)
        for _ in range(iterations):
            f = keops_softmin(x, y, g + eps_log_a, eps)[:, 0]
            g = keops_softmin(y, x, f + eps_log_a, eps)[:, 0]
        return Answer(f.cpu().numpy(), g.cpu().numpy(), iterations)

    return solve


def flash_sinkhorn(instance: Instance, *, allow_tf32: bool = False) -> Solve:
    """Alternating iterations in float32, or with the products in TF32. It has no tolerance: the
    accuracy stands for 1 / the number of iterations."""
    import torch

    package = importlib.import_module("flash_sinkhorn")
    _, x, _, y = tensors(instance, "cuda", torch.float32)

    def solve(accuracy: float) -> Answer:
        iterations = math.ceil(1 / accuracy)
        loss = package.SamplesLoss(
            "sinkhorn", backend="alternating", use_epsilon_scaling=False, eps=instance.eps,
            n_iters=iterations, debias=False, potentials=True, allow_tf32=allow_tf32)
        f, g = (potential.double().cpu().numpy() for potential in loss(x, y))
        return Answer(f, g, iterations)

    return solve


def peers() -> list[Peer]:
    """GeomLoss by backend, and flash-sinkhorn, which needs a GPU and has not been run here."""
    keops = ("pykeops", "geomloss")
    return [
        Peer("geomloss-tensorized", partial(geomloss, backend="tensorized"),
             ("geomloss", "geomloss"), matrix=True),
        Peer("geomloss-online", partial(geomloss, backend="online"), keops, half=keops_half),
        Peer("geomloss-multiscale", partial(geomloss, backend="multiscale"), keops),
        Peer("flash-sinkhorn", flash_sinkhorn, ("flash_sinkhorn", "flash-sinkhorn")),
    ]
