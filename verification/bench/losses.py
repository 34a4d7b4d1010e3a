"""The divergence S with its gradient in x, forward and backward: refot beside GeomLoss and OTT.

    python -m refot.verification.bench.losses torch      # refot.torch beside geomloss.SamplesLoss
    python -m refot.verification.bench.losses jax        # refot.jax beside ott's divergence

All are run to the same accuracy: the relative error of the gradient, in the L2 norm, against one
that is solved to the rounding of float64, and whose value lies in a certified interval. Each side
has one knob (tolerance, threshold, scaling), which is turned to its loosest setting that meets the
criterion. Then both run in turn; a ratio is that of a pair.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.autodiff.losses import Loss
from refot.autodiff.measures import Pair
from refot.solvers.gap import gap_of

from .timing import Range, ratios

Run: TypeAlias = Callable[[float], Array]
"""The knob's setting, the smaller the more accurate -> the gradient in x, (n, d), in cost units."""

SETTINGS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""What is tried, until one meets the criterion. GeomLoss's `scaling` is 1 less the setting."""

BUDGET = 120.0
"""Seconds that the search for a setting may take; a peer that needs more has not arrived."""


@dataclass(frozen=True)
class Problem:
    """Two standard normal clouds x, y (n, d), one moved by a unit vector; uniform weights; eps."""

    x: Array
    y: Array
    eps: float

    @classmethod
    def of(cls, n: int, d: int, relative_eps: float) -> Problem:
        """eps as a part of the largest squared distance, of a sample of the points."""
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


def refot_torch(at: Problem, dtype: str = "float64") -> Run:
    """`refot.torch.sinkhorn_divergence`; the setting is the tolerance."""
    import torch

    from refot.torch import sinkhorn_divergence

    x, y = (torch.tensor(points, dtype=getattr(torch, dtype)) for points in (at.x, at.y))

    def run(setting: float) -> Array:
        moved = x.clone().requires_grad_()
        sinkhorn_divergence(moved, y, eps=at.eps, tol=setting).backward()
        return moved.grad.numpy()

    return run


def geomloss(at: Problem, dtype: str = "float64") -> Run:
    """`SamplesLoss("sinkhorn", backend="tensorized")`, of half the squared distance."""
    import torch
    from geomloss import SamplesLoss

    x, y = (torch.tensor(points, dtype=getattr(torch, dtype)) for points in (at.x, at.y))

    def run(setting: float) -> Array:
        loss = SamplesLoss("sinkhorn", p=2, blur=float(np.sqrt(at.eps / 2)), scaling=1 - setting,
                           backend="tensorized")
        moved = x.clone().requires_grad_()
        loss(moved, y).backward()
        return 2 * moved.grad.numpy()

    return run


def refot_jax(at: Problem, dtype: str = "float64") -> Run:
    """`refot.jax.sinkhorn_divergence` under jit; the setting is the tolerance."""
    import jax

    from refot.jax import sinkhorn_divergence

    with jax.enable_x64(True):
        x, y = (jax.numpy.asarray(points, dtype=dtype) for points in (at.x, at.y))

    def run(setting: float) -> Array:
        with jax.enable_x64(True):
            gradient = jax.jit(jax.grad(
                lambda points: sinkhorn_divergence(points, y, eps=at.eps, tol=setting)))
            return np.asarray(gradient(x))

    return run


def ott(at: Problem, dtype: str = "float64") -> Run:
    """`ott.tools.sinkhorn_divergence.sinkdiv` under jit, compiled once; the setting is the
    threshold."""
    import jax
    from ott.geometry.pointcloud import PointCloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    with jax.enable_x64(True):
        x, y = (jax.numpy.asarray(points, dtype=dtype) for points in (at.x, at.y))

    def value(points: Any, threshold: Any) -> Any:
        return sinkhorn_divergence(
            PointCloud, points, y, epsilon=at.eps,
            solve_kwargs={"threshold": threshold, "max_iterations": 10**5})[0]

    gradient = jax.jit(jax.grad(value))

    def run(setting: float) -> Array:
        with jax.enable_x64(True):
            return np.asarray(gradient(x, setting))

    return run


PAIRS = {"torch": (refot_torch, geomloss), "jax": (refot_jax, ott)}
"""refot's run and its peer's, by framework."""


# ------------------------------------------------------------------ side by side
def error_of(gradient: Array, exact: Array) -> float:
    """The relative L2 error; infinite for a gradient that is not finite."""
    error = float(np.linalg.norm(gradient - exact) / np.linalg.norm(exact))
    return error if np.isfinite(error) else np.inf


def loosest(run: Run, exact: Array, criterion: float) -> float | None:
    """The first setting that meets the criterion; None where none does within BUDGET seconds."""
    begun = time.perf_counter()
    for setting in SETTINGS:
        if error_of(run(setting), exact) <= criterion:
            return setting
        if time.perf_counter() - begun > BUDGET:
            break
    return None


@dataclass(frozen=True)
class Row:
    """What both sides needed: settings, seconds (medians) and the ratio, pair by pair."""

    ours: float | None
    theirs: float | None
    seconds: tuple[float, float] = (np.nan, np.nan)
    ratio: Range | None = None

    def __str__(self) -> str:
        if self.ratio is None:
            return f"{self.ours or '-'} | {self.theirs or '-'} | - | - | -"
        return (f"{self.ours:g} | {self.theirs:g} | {self.seconds[0]:.3f} | {self.seconds[1]:.3f} "
                f"| {self.ratio.median:.1f} ({self.ratio.least:.1f}-{self.ratio.most:.1f})")


def seconds(run: Run, setting: float) -> float:
    """How long one forward and backward takes."""
    begun = time.perf_counter()
    run(setting)
    return time.perf_counter() - begun


def compared(ours: Run, theirs: Run, exact: Array, criterion: float, repeats: int) -> Row:
    """Both to the criterion, in turn. The search for the settings compiles what is compiled."""
    settings = [loosest(run, exact, criterion) for run in (ours, theirs)]
    if settings[0] is None or settings[1] is None:
        return Row(*settings)
    times = [(seconds(ours, settings[0]), seconds(theirs, settings[1])) for _ in range(repeats)]
    our_times, their_times = map(list, zip(*times, strict=True))
    return Row(*settings, (float(np.median(our_times)), float(np.median(their_times))),
               ratios(their_times, our_times))


def main(framework: str, sizes: Sequence[int] = (1_000, 5_000), dimensions: Sequence[int] = (3, 64),
         epsilons: Sequence[float] = (1e-1, 1e-2), criteria: Sequence[float] = (1e-2, 1e-3),
         dtype: str = "float64", repeats: int = 5) -> None:
    """Print a table: a row for each problem and criterion."""
    prepare_ours, prepare_theirs = PAIRS[framework]
    print("n | d | eps / max C | error | our setting | theirs | ours, s | theirs, s | ratio")
    for n in sizes:
        for d in dimensions:
            for relative_eps in epsilons:
                at = Problem.of(n, d, relative_eps)
                exact, width = at.solved()
                ours, theirs = prepare_ours(at, dtype), prepare_theirs(at, dtype)
                print(f"# n={n} d={d} eps={relative_eps:g}: S certified to {width:.1e}", flush=True)
                for criterion in criteria:
                    row = compared(ours, theirs, exact, criterion, repeats)
                    print(f"{n} | {d} | {relative_eps:g} | {criterion:g} | {row}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], dtype=sys.argv[2] if len(sys.argv) > 2 else "float64")
