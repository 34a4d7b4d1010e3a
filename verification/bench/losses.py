"""The divergence S with its gradient in x, forward and backward: refot beside GeomLoss and OTT.

    python -m refot.verification.bench.losses torch      # refot.torch beside geomloss.SamplesLoss
    python -m refot.verification.bench.losses jax        # refot.jax beside ott's divergence

Both are compared at the same accuracy: the relative error of the gradient, in the L2 norm. It is
measured against a gradient that is solved to the rounding of float64, and whose value S lies in a
certified interval. The peer is run at one of PEER_SETTINGS, as its users do, and refot at its
loosest tolerance that is at least as accurate. Then both run in turn, and times of neighbouring
runs are divided.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.autodiff.losses import Loss
from refot.autodiff.measures import Pair
from refot.solvers.gap import gap_of

from .timing import Range, ratios

Run: TypeAlias = Callable[[float], Array]
"""A function that takes a setting of the package (the smaller, the more accurate) and returns the
gradient of S in x, (n, d), in cost units per unit of length."""

TOLERANCES = tuple(
    lead * 10.0**-power for power in range(1, 12) for lead in (5, 2, 1))
"""The tolerances of refot that are tried, until one is as accurate as the peer."""

PEER_SETTINGS = {"torch": (0.5, 0.1), "jax": (1e-3, 1e-6)}
"""The settings of the peers by framework. GeomLoss: 1 - `scaling`, for the default 0.5 and for 0.9.
OTT: the threshold, its default 1e-3 and 1e-6."""


@dataclass(frozen=True)
class Problem:
    """Two standard normal clouds x, y (n, d), y moved by a unit vector; uniform weights; eps in
    cost units."""

    x: Array
    y: Array
    eps: float

    @classmethod
    def of(cls, n: int, d: int, relative_eps: float) -> Problem:
        """The problem with eps = `relative_eps` times the largest squared distance in a sample of
        500 points of each cloud."""
        rng = np.random.default_rng(n + d)
        x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 1 / np.sqrt(d)
        largest = ((x[:500, None] - y[:500]) ** 2).sum(axis=2).max()
        return cls(x, y, float(relative_eps * largest))

    def solved(self) -> tuple[Array, float]:
        """The gradient in x at the rounding of float64, and the certified relative width of S."""
        a = np.full(len(self.x), 1 / len(self.x))
        loss = Loss(self.eps, backend="numba").solved(Pair(self.x, a, self.y, a))
        gaps = [gap_of(term.p, term.g).absolute for term in (loss.xy, loss.xx, loss.yy)
                if term is not None]
        return loss.gradient_x(), (gaps[0] + (gaps[1] + gaps[2]) / 2) / loss.value()


def refot_torch(problem: Problem, dtype: str = "float64") -> Run:
    """`refot.torch.sinkhorn_divergence`; the setting is the tolerance."""
    import torch

    from refot.torch import sinkhorn_divergence

    x, y = (torch.tensor(points, dtype=getattr(torch, dtype)) for points in (problem.x, problem.y))

    def run(setting: float) -> Array:
        moved = x.clone().requires_grad_()
        sinkhorn_divergence(moved, y, eps=problem.eps, tol=setting).backward()
        return moved.grad.numpy()

    return run


def refot_plain(problem: Problem) -> Run:
    """`refot.sinkhorn_divergence_value_and_gradient`; the setting is the tolerance."""
    import refot

    def run(setting: float) -> Array:
        found = refot.sinkhorn_divergence_value_and_gradient(
            problem.x, None, problem.y, None, problem.eps, tol=setting, backend="numba")
        return found.gradient.x

    return run


def geomloss(problem: Problem, dtype: str = "float64") -> Run:
    """`SamplesLoss("sinkhorn", backend="tensorized")`; the setting is 1 - `scaling`. Its cost is
    half the squared distance, so that its gradient is doubled."""
    import torch
    from geomloss import SamplesLoss

    x, y = (torch.tensor(points, dtype=getattr(torch, dtype)) for points in (problem.x, problem.y))

    def run(setting: float) -> Array:
        loss = SamplesLoss("sinkhorn", p=2, blur=float(np.sqrt(problem.eps / 2)),
                           scaling=1 - setting, backend="tensorized")
        moved = x.clone().requires_grad_()
        loss(moved, y).backward()
        return 2 * moved.grad.numpy()

    return run


def refot_jax(problem: Problem, dtype: str = "float64") -> Run:
    """`refot.jax.sinkhorn_divergence` under jit; the setting is the tolerance."""
    import jax

    from refot.jax import sinkhorn_divergence

    with jax.enable_x64(True):
        x, y = (jax.numpy.asarray(points, dtype=dtype) for points in (problem.x, problem.y))

    # Each tolerance is compiled once, while OTT is compiled once for all thresholds.
    @cache
    def gradient(setting: float) -> Callable[[Any], Any]:
        compiled: Callable[[Any], Any] = jax.jit(jax.grad(
            lambda points: sinkhorn_divergence(points, y, eps=problem.eps, tol=setting)))
        return compiled

    def run(setting: float) -> Array:
        with jax.enable_x64(True):
            return np.asarray(gradient(setting)(x))

    return run


def ott(problem: Problem, dtype: str = "float64") -> Run:
    """`ott.tools.sinkhorn_divergence.sinkdiv` under jit, compiled once; the setting is the
    threshold."""
    import jax

    with jax.enable_x64(True):
        x, y = (jax.numpy.asarray(points, dtype=dtype) for points in (problem.x, problem.y))
    gradient = ott_gradient(y, problem.eps)

    def run(setting: float) -> Array:
        with jax.enable_x64(True):
            return np.asarray(gradient(x, setting))

    return run


def ott_gradient(y: Any, eps: float) -> Callable[[Any, Any], Any]:
    """From points x (n, d) and a threshold to the gradient of OTT's divergence in x, compiled."""
    import jax
    from ott.geometry.pointcloud import PointCloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    def value(x: Any, threshold: Any) -> Any:
        return sinkhorn_divergence(
            PointCloud, x, y, epsilon=eps,
            solve_kwargs={"threshold": threshold, "max_iterations": 10**5})[0]

    compiled: Callable[[Any, Any], Any] = jax.jit(jax.grad(value))
    return compiled


PAIRS = {"torch": (refot_torch, geomloss), "jax": (refot_jax, ott)}
"""By framework, the functions that prepare a Run of refot and a Run of the peer."""


# ------------------------------------------------------------------ side by side
def error_of(gradient: Array, exact: Array) -> float:
    """The relative L2 error; infinite for a gradient that is not finite."""
    error = float(np.linalg.norm(gradient - exact) / np.linalg.norm(exact))
    return error if np.isfinite(error) else np.inf


def as_accurate(run: Run, exact: Array, error: float) -> float:
    """The loosest of TOLERANCES at which the gradient is off by at most `error`; the tightest if
    none is."""
    for tolerance in TOLERANCES:
        if error_of(run(tolerance), exact) <= error:
            return tolerance
    return TOLERANCES[-1]


@dataclass(frozen=True)
class Row:
    """A peer's setting and error, refot's tolerance and error, the median seconds of refot and of
    the peer, and the ratios peer / refot."""

    setting: float
    error: float
    tolerance: float
    our_error: float
    seconds: tuple[float, float]
    ratio: Range

    def __str__(self) -> str:
        return (f"{self.setting:g} | {self.error:.1e} | {self.our_error:.1e} | "
                f"{self.seconds[0]:.3f} | {self.seconds[1]:.3f} | "
                f"{self.ratio.median:.1f} ({self.ratio.least:.1f}-{self.ratio.most:.1f})")


def seconds(run: Run, setting: float) -> float:
    """The seconds of one forward and backward pass."""
    begun = time.perf_counter()
    run(setting)
    return time.perf_counter() - begun


def compared(ours: Run, theirs: Run, exact: Array, setting: float, repeats: int) -> Row:
    """The row of one comparison, both timed in turn. The runs that find the errors compile too, and
    are not timed."""
    error = error_of(theirs(setting), exact)
    tolerance = as_accurate(ours, exact, error)
    our_error = error_of(ours(tolerance), exact)
    times = [(seconds(ours, tolerance), seconds(theirs, setting)) for _ in range(repeats)]
    our_times, their_times = map(list, zip(*times, strict=True))
    found = ratios(their_times, our_times)
    assert found is not None
    return Row(setting, error, tolerance, our_error,
               (float(np.median(our_times)), float(np.median(their_times))), found)


def main(framework: str, sizes: Sequence[int] = (1_000, 5_000), dimensions: Sequence[int] = (3, 64),
         epsilons: Sequence[float] = (1e-1, 1e-2), dtype: str = "float64", repeats: int = 3
         ) -> None:
    """Print a table: a row for each problem and setting of the peer. `epsilons` are in units of the
    largest cost (`Problem.of`)."""
    prepare_ours, prepare_theirs = PAIRS[framework]
    print("n | d | eps / max C | S certified to | peer at | its error | ours | ours, s | its, s | "
          "ratio")
    for n in sizes:
        for d in dimensions:
            for relative_eps in epsilons:
                problem = Problem.of(n, d, relative_eps)
                exact, width = problem.solved()
                ours, theirs = prepare_ours(problem, dtype), prepare_theirs(problem, dtype)
                for setting in PEER_SETTINGS[framework]:
                    row = compared(ours, theirs, exact, setting, repeats)
                    print(f"{n} | {d} | {relative_eps:g} | {width:.0e} | {row}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], dtype=sys.argv[2] if len(sys.argv) > 2 else "float64")
