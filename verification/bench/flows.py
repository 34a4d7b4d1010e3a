"""A gradient flow of the divergence S, 50 steps: refot beside GeomLoss, OTT and POT.

    python -m refot.verification.bench.flows 500 50              # points in each cloud, and steps
    python -m refot.verification.bench.flows 5000 2 ott pot      # beside these peers alone

A cloud x is moved along -n dS/dx by Euler steps towards a cloud y. All are compared at the same
accuracy: the relative L2 error of the way that the points have gone, against that of a flow whose
steps are solved to TIGHT. Each peer is run at one of its PEER_SETTINGS, as its users do, and refot
at its loosest tolerance that is at least as accurate. Times are those of the processor, all on one
thread. refot and the peer run in turn, and times of neighbouring runs are divided. The first runs,
which find the errors, compile too, and are not timed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array

from .losses import as_accurate, error_of, ott_gradient
from .timing import ratios

Flow: TypeAlias = Callable[[float], Array]
"""From a setting of the package (the smaller, the more accurate) to where the points end less where
they began, (n, 2)."""

TIGHT = 1e-11
"""The marginal error of the flow with which all are compared."""

STEP = 0.2
"""A step moves a point along -n dS/dx times this. S is near |x - y|^2 / n where all points move
alike, so that a step of 1/2 would arrive at once."""

EPS = 0.05
"""eps, in units of the largest squared distance of the two clouds."""


@dataclass(frozen=True)
class Clouds:
    """Where the flow begins, x (n, 2), and where it is to end, y (n, 2); eps in cost units."""

    x: Array
    y: Array
    eps: float
    steps: int

    @classmethod
    def of(cls, n: int, steps: int) -> Clouds:
        """A small round cloud, and a larger one away from it."""
        rng = np.random.default_rng(n)
        x, y = 0.3 * rng.normal(size=(n, 2)), 0.5 * rng.normal(size=(n, 2)) + (2, 1)
        largest = max(((part[:, None] - y) ** 2).sum(axis=2).max() for part in np.split(x, 10))
        return cls(x, y, EPS * float(largest), steps)

    def moved_by(self, gradient: Callable[[Array], Array]) -> Array:
        """The way of all points along the negative gradient, (n, 2)."""
        x = self.x.copy()
        for _ in range(self.steps):
            x -= STEP * len(x) * gradient(x)
        return x - self.x


def refot_flow(clouds: Clouds) -> Flow:
    """Each step starts from the solutions of the one before; the setting is the tolerance."""
    import refot

    def run(tol: float) -> Array:
        found = None

        def gradient(x: Array) -> Array:
            nonlocal found
            found = refot.sinkhorn_divergence_value_and_gradient(
                x, None, clouds.y, None, clouds.eps, tol=tol, backend="numba", warm=found)
            return found.gradient.x

        return clouds.moved_by(gradient)

    return run


def by_torch(clouds: Clouds, loss: Callable[[Any, Any, float], Any]) -> Flow:
    """The flow of a loss of tensors (x, y, setting), differentiated by torch."""
    import torch

    torch.set_num_threads(1)
    y = torch.from_numpy(clouds.y)

    def run(setting: float) -> Array:
        def gradient(x: Array) -> Array:
            moving = torch.from_numpy(x).clone().requires_grad_()
            return torch.autograd.grad(loss(moving, y, setting), moving)[0].numpy()

        return clouds.moved_by(gradient)

    return run


def geomloss(clouds: Clouds) -> Flow:
    """`SamplesLoss("sinkhorn", backend="tensorized")`, of half the squared distance; the setting is
    1 - `scaling`."""
    from geomloss import SamplesLoss

    def loss(x: Any, y: Any, setting: float) -> Any:
        return 2 * SamplesLoss("sinkhorn", p=2, blur=float(np.sqrt(clouds.eps / 2)),
                               scaling=1 - setting, backend="tensorized")(x, y)

    return by_torch(clouds, loss)


def pot(clouds: Clouds) -> Flow:
    """`ot.solve_sample` for the three values, with gradients by the envelope theorem; the setting
    is its `tol`."""
    import ot

    def value(x: Any, y: Any, tol: float) -> Any:
        return ot.solve_sample(x, y, reg=clouds.eps, tol=tol, max_iter=10**5, grad="envelope").value

    def loss(x: Any, y: Any, tol: float) -> Any:
        return value(x, y, tol) - value(x, x, tol) / 2 - value(y, y, tol).detach() / 2

    return by_torch(clouds, loss)


def ott(clouds: Clouds) -> Flow:
    """`sinkhorn_divergence` of OTT under jit, compiled once; the setting is the threshold."""
    import jax

    with jax.enable_x64(True):
        compiled = ott_gradient(jax.numpy.asarray(clouds.y), clouds.eps)

    def run(threshold: float) -> Array:
        with jax.enable_x64(True):
            return clouds.moved_by(lambda x: np.asarray(compiled(x, threshold)))

    return run


PEER_SETTINGS = {geomloss: (0.5, 0.1), pot: (1e-3, 1e-6), ott: (1e-3, 1e-6)}
"""The settings at which each peer is run. GeomLoss: for the default `scaling` 0.5 and for 0.9; OTT:
its default threshold and 1e-6; POT likewise."""


def seconds(flow: Flow, setting: float) -> float:
    """The processor time of one flow."""
    begun = time.process_time()
    flow(setting)
    return time.process_time() - begun


def main(n: int, steps: int, names: Sequence[str] = (), repeats: int = 3) -> None:
    """Print a table: a row for each setting of each peer, or of those with these names."""
    clouds = Clouds.of(n, steps)
    ours = refot_flow(clouds)
    exact = ours(TIGHT)
    print("peer | n | steps | setting | its error | refot's error | refot, s | peer, s | ratio")
    for prepare, settings in PEER_SETTINGS.items():
        if names and prepare.__name__ not in names:
            continue
        theirs = prepare(clouds)
        for setting in settings:
            error = error_of(theirs(setting), exact)
            tol = as_accurate(ours, exact, error)
            times = [(seconds(ours, tol), seconds(theirs, setting)) for _ in range(repeats)]
            own, other = map(list, zip(*times, strict=True))
            found = ratios(other, own)
            assert found is not None
            print(f"{prepare.__name__} | {n} | {steps} | {setting:g} | {error:.1e} | "
                  f"{error_of(ours(tol), exact):.1e} | {np.median(own):.2f} | "
                  f"{np.median(other):.2f} | {found.median:.1f} ({found.least:.1f}-"
                  f"{found.most:.1f})", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
