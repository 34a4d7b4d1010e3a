"""`refot bench --batch`: many small problems, beside loops and batches of other packages.

All must meet one criterion, computed here from the plan of each problem: |P1 - a|_1 + |P'1 - b|_1
at most 1e-9 for every problem of the batch. Since each package stops by a measure of its own, it is
run at the loosest of the tolerances 1e-8, 1e-9, ... at which it meets the criterion. This tolerance
is found on every tenth problem and confirmed on the whole batch. Then the package and refot run in
turn, ROUNDS times each, and the ratio of their times is taken in each round. A package that takes
more than SLOW seconds for every tenth problem is not run on the whole batch: it and refot then run
once, on every tenth problem.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array

CRITERION = 1e-9
"""The largest L1 marginal error that a problem may have, both marginals together."""

TOLERANCES = (1e-8, 1e-9, 1e-10, 1e-11, 1e-12)
"""The tolerances that are tried with a peer (another package, or another way to call refot). Each
bounds the measure by which that peer itself stops."""

ROUNDS = 5
"""How often refot and a peer are timed, in turn."""

PART = 10
"""The tolerance of a peer is found on every PART-th problem of a batch (`Batch.part`)."""

SLOW = 3.0
"""If a peer takes more seconds than this for every tenth problem, it is timed once, and on these
problems alone."""

EPS = (1e-1, 1e-2)
"""Values of eps, in units of the largest cost of each problem."""


@dataclass(frozen=True)
class Batch:
    """B problems: costs C (B, n, m) with a largest entry of 1, or one matrix (n, m) for all of
    them; weights a (B, n), b (B, m)."""

    name: str
    C: Array
    a: Array
    b: Array

    def each(self) -> Iterator[tuple[Array, Array, Array]]:
        """The (C, a, b) of each problem, one after the other."""
        for k, (a, b) in enumerate(zip(self.a, self.b, strict=True)):
            yield (self.C if self.C.ndim == 2 else self.C[k]), a, b

    @property
    def part(self) -> Batch:
        """Every tenth problem."""
        C = self.C if self.C.ndim == 2 else self.C[::PART]
        return Batch(self.name, np.ascontiguousarray(C), self.a[::PART].copy(),
                     self.b[::PART].copy())

    @property
    def repeated(self) -> Array:
        """Costs (B, n, m), for peers that cannot take one matrix for all problems."""
        return np.ascontiguousarray(np.broadcast_to(self.C, (len(self.a), *self.C.shape[-2:])))


def clouds(number: int, n: int) -> Batch:
    """n standard normal points in the plane and n others moved by (1, 1); uniform weights."""
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(number, n, 1, 2)), rng.normal(size=(number, 1, n, 2)) + 1
    C = ((x - y) ** 2).sum(axis=-1)
    uniform = np.full((number, n), 1 / n)
    return Batch(f"{number} of {n} x {n}", C / C.max(axis=(1, 2), keepdims=True), uniform, uniform)


def histograms(number: int, bins: int) -> Batch:
    """Pairs of random histograms on a regular grid of the unit interval, with the cost |x - y|^2.
    """
    rng = np.random.default_rng(bins)
    x = np.linspace(0, 1, bins)
    a, b = rng.random((2, number, bins)) + 0.05
    a, b = (weights / weights.sum(axis=1, keepdims=True) for weights in (a, b))
    return Batch(f"{number} histograms of {bins} bins", (x[:, None] - x) ** 2, a, b)


BATCHES: tuple[Callable[[], Batch], ...] = (
    lambda: clouds(1_000, 50), lambda: clouds(100, 200), lambda: histograms(1_000, 64))
"""Functions that make the batches of the benchmark."""


# ------------------------------------------------------------------ the solvers
Plans = Callable[[], Any]
"""A function that forms the plans (B, n, m) of a batch of B problems after it was solved."""

Solve = Callable[[float], Plans]
"""A function that solves the batch to a tolerance. It returns a function that forms the plans: that
is not timed, unless the package itself forms plans when it solves."""


def refot_batch(batch: Batch, eps: float, backend: str = "numba") -> Solve:
    """A peer that solves the batch by `refot.solve_batch`."""
    import refot

    def solve(tol: float) -> Plans:
        found = refot.solve_batch(batch.C, batch.a, batch.b, eps, tol=tol, backend=backend)
        return lambda: plans(batch, eps, found.f, found.g)

    return solve


def pot_loop(batch: Batch, eps: float) -> Solve:
    """POT's `ot.sinkhorn`, called for one problem after the other."""
    import ot

    def solve(tol: float) -> Plans:
        found = [ot.sinkhorn(a, b, C, eps, stopThr=tol, numItermax=100_000)
                 for C, a, b in batch.each()]
        return lambda: np.array(found)

    return solve


def pot_batch(batch: Batch, eps: float, method: str) -> Solve:
    """`ot.solve_batch` on NumPy's arrays."""
    import ot

    C, a, b = batch.repeated, batch.a, batch.b

    def solve(tol: float) -> Plans:
        found = ot.solve_batch(C, eps, a, b, max_iter=100_000, tol=tol, method=method,
                               grad="detach")
        return lambda: np.asarray(found.plan)

    return solve


def ott_vmap(batch: Batch, eps: float, lse_mode: bool) -> Solve:
    """`Sinkhorn` of OTT-JAX under jit and vmap, in float64."""
    import jax
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    def one(C: Any, a: Any, b: Any, tol: Any) -> Any:
        solver = Sinkhorn(threshold=tol, max_iterations=100_000, lse_mode=lse_mode)
        found = solver(LinearProblem(Geometry(C, epsilon=eps), a, b))
        return found.f, found.g

    axis = 0 if batch.C.ndim == 3 else None
    run = jax.jit(jax.vmap(one, (axis, 0, 0, None)))
    with jax.enable_x64(True):
        C, a, b = (jax.numpy.asarray(part) for part in (batch.C, batch.a, batch.b))

    def solve(tol: float) -> Plans:
        with jax.enable_x64(True):
            f, g = jax.block_until_ready(run(C, a, b, tol))
        return lambda: plans(batch, eps, np.asarray(f) - eps * np.log(batch.a),
                             np.asarray(g) - eps * np.log(batch.b))

    return solve


PEERS: dict[str, Callable[[Batch, float], Solve]] = {
    "loop of ot.sinkhorn": pot_loop,
    "ot.solve_batch, plain": lambda batch, eps: pot_batch(batch, eps, "sinkhorn"),
    "ot.solve_batch, log (its default)": lambda batch, eps: pot_batch(batch, eps, "log_sinkhorn"),
    "OTT vmap, plain": lambda batch, eps: ott_vmap(batch, eps, False),
    "OTT vmap, log (its default)": lambda batch, eps: ott_vmap(batch, eps, True),
    "refot on NumPy": lambda batch, eps: refot_batch(batch, eps, "numpy"),
}
"""By the name in the table, what refot on Numba is compared with."""


def plans(batch: Batch, eps: float, f: Array, g: Array) -> Array:
    """The plans P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps) of all problems, (B, n, m)."""
    exponent = (f[:, :, None] + g[:, None, :] - batch.C) / eps
    return np.exp(exponent) * batch.a[:, :, None] * batch.b[:, None, :]


def worst_error(batch: Batch, found: Array) -> float:
    """The largest L1 marginal error of the plans; inf where one is not finite."""
    errors = (abs(found.sum(axis=2) - batch.a).sum(axis=1)
              + abs(found.sum(axis=1) - batch.b).sum(axis=1))
    return float(errors.max()) if np.isfinite(errors).all() else np.inf


# ------------------------------------------------------------------ in turn
def seconds(solve: Solve, tol: float) -> float:
    """The seconds of the clock that one solve to the tolerance `tol` takes."""
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solve(tol)
    return time.perf_counter() - begin


def loosest(batch: Batch, eps: float, peer: Callable[[Batch, float], Solve]
            ) -> tuple[float, float]:
    """(the loosest tolerance that meets the criterion in every problem, the largest error there).
    If none does: (NaN, the smallest of these errors)."""
    solve, least = peer(batch, eps), np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for tol in TOLERANCES:
            error = worst_error(batch, solve(tol)())
            least = min(least, error)
            if error <= CRITERION:
                return tol, error
    return np.nan, least


def in_turn(ours: Solve, theirs: Solve, tol: float, rounds: int) -> list[tuple[float, float]]:
    """(seconds of refot, seconds of the peer) of each round. Both must be compiled before."""
    return [(seconds(ours, CRITERION), seconds(theirs, tol)) for _ in range(rounds)]


def compared(batch: Batch, eps: float, name: str) -> str:
    """The line of the table for one peer."""
    peer, part = PEERS[name], batch.part
    tol, error = loosest(part, eps, peer)
    start = f"| {batch.name} | {eps:.0e} | {name} |"
    if np.isnan(tol):
        return f"{start} | | came to {error:.1e} |"
    of_part = peer(part, eps)
    of_part(tol)  # not timed, because a first run may compile
    slow = seconds(of_part, tol) > SLOW
    timed = part if slow else batch
    theirs, ours = peer(timed, eps), refot_batch(timed, eps)
    while tol > TOLERANCES[-1] and worst_error(timed, theirs(tol)()) > CRITERION:
        tol /= 10
    ours(CRITERION)
    pairs = in_turn(ours, theirs, tol, 1 if slow else ROUNDS)
    ratios = [other / own for own, other in pairs]
    own, other = (1e3 * statistics.median(side) for side in zip(*pairs, strict=True))
    return (f"{start} {own:.1f} | {other:.1f} | {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f}-{max(ratios):.1f}){', every tenth problem' if slow else ''} |")


def lines() -> Iterator[str]:
    """A line of the table for each peer, as soon as it is measured; then `ragged_lines`."""
    yield "| batch | eps | peer | refot, ms | peer, ms | refot is faster by (min-max) |"
    yield "|---|---|---|---|---|---|"
    for make in BATCHES:
        batch = make()
        for eps in EPS:
            found = refot_batch(batch, eps)(CRITERION)()
            if not worst_error(batch, found) <= CRITERION:
                raise RuntimeError(f"refot misses the criterion: {worst_error(batch, found)}")
            yield from (compared(batch, eps, name) for name in PEERS)
    yield from ragged_lines()


def ragged_lines() -> Iterator[str]:
    """How much longer refot takes for each entry of the cost matrices if all problems of a batch
    have different sizes, compared with a batch of one size."""
    import refot

    rng = np.random.default_rng(0)
    sizes = rng.integers(30, 71, size=(1_000, 2))
    lists = [[np.square(rng.normal(size=(n, 1, 2)) - rng.normal(size=(m, 2)) - 1).sum(axis=-1)
              for n, m in shapes] for shapes in (np.full((1_000, 2), 50), sizes)]
    lists = [[C / C.max() for C in costs] for costs in lists]
    entries = [sum(C.size for C in costs) for costs in lists]
    for eps in EPS:
        ratios = []
        for _ in range(2 * ROUNDS):
            took = []
            for costs in lists:
                begin = time.perf_counter()
                refot.solve_batch(costs, None, None, eps, backend="numba")
                took.append(time.perf_counter() - begin)
            ratios.append((took[1] / entries[1]) / (took[0] / entries[0]))
        ratios = ratios[1:]
        yield (f"ragged, 30 to 70 points, eps {eps:.0e}: {statistics.median(ratios):.2f} "
               f"({min(ratios):.2f}-{max(ratios):.2f}) times the seconds an entry of 50 x 50")
