"""The parts of `refot bench --quick`: what is solved, beside whom, and to which accuracy.

A peer that is not installed, that fails, or that does not reach the criterion has a row that says
so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing import get_context

import numpy as np

import refot
from refot.arrays import lookup
from refot.verification.bench import batches, losses, unbalanced
from refot.verification.bench.child import PeerFailed, RunLimits
from refot.verification.bench.criterion import CRITERIA, UNBALANCED, Criterion, judge
from refot.verification.bench.peers.table import find_peer
from refot.verification.bench.problems import Cell, Instance, UnbalancedCell
from refot.verification.bench.timing import REFERENCE, Runner, in_turn, refused
from refot.verification.bench.worker import keep_to
from refot.verification.runs.environment import THREAD_VARIABLES, environment

from .rows import REPEATS, Row, Stopwatch, timed

LIMITS = RunLimits(seconds=5.0, memory=8 << 30, threads=1)
"""Of one run, by the clock, and of one process. With one thread for each, times vary least."""

GAP = CRITERIA[1]
"""A certified relative gap of 1e-4."""

BALANCED = (Cell("gaussians", 1_000, 1e-1), Cell("gaussians", 1_000, 1e-3),
            Cell("mnist", 1_000, 1e-2))
UNBALANCED_CELL = UnbalancedCell("gaussians", 1_000, 1e-2, None, 100.0)
LARGE = Cell("space", 20_000, 1e-2)


# ------------------------------------------------------------------ in processes of their own
def balanced() -> Iterator[Row]:
    """Three problems beside POT's plain scaling and OTT with momentum."""
    for cell in BALANCED:
        yield from in_processes("balanced", cell, REFERENCE, ("pot-scaling", "ott-momentum"), GAP)


def free() -> Iterator[Row]:
    """An unbalanced problem with rho = 100 eps, beside the translation-invariant methods."""
    yield from in_processes(
        "unbalanced", UNBALANCED_CELL, unbalanced.REFERENCE,
        ("pot-unbalanced-invariant", "ott-unbalanced-recentred"), UNBALANCED)


def in_processes(kind: str, cell: Cell, ours: str, peers: Sequence[str], criterion: Criterion
                 ) -> Iterator[Row]:
    """A row for each peer, which has a process, as refot has."""
    instance = cell.instance()
    with Runner(ours, instance, LIMITS) as reference:
        for name in peers:
            row = Row(kind, cell.name, criterion.name, name)
            with Runner(name, instance, LIMITS) as runner:
                try:
                    yield beside(row, runner, reference, criterion)
                except PeerFailed as failed:
                    yield replace(row, failure=str(failed))


def beside(row: Row, runner: Runner, reference: Runner, criterion: Criterion) -> Row:
    """The row of a peer, in turn with refot, each at the loosest accuracy that it needs. Raises
    PeerFailed."""
    reason = refused(row.peer, runner.instance.n, LIMITS)
    if reason:
        raise PeerFailed(reason)
    theirs, ours = runner.search(criterion), reference.search(criterion)
    found = in_turn(lambda: runner.child.run(theirs.run.accuracy),
                    lambda: reference.child.run(ours.run.accuracy), REPEATS, 60.0)
    reached = criterion.measure(ours.judged), criterion.measure(theirs.judged)
    row = replace(row, version=runner.child.ready.version, reached=reached)
    return timed(row, found[1], found[0])


# ------------------------------------------------------------------ both in one process
def in_one_process(rows: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """The rows of a part that runs refot and its peers in one process, which is kept to one core
    and one thread."""
    with environment(dict.fromkeys(THREAD_VARIABLES, "1")), ProcessPoolExecutor(
            1, get_context("spawn"), keep_to, (1,)) as pool:
        yield from pool.submit(listed, rows).result()


def listed(rows: Callable[[], Iterator[Row]]) -> list[Row]:
    """All rows of a part, in the process that computes them. Peers' warnings are not shown: what
    they reach is computed here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(rows())


def together(row: Row, ours: Callable[[], object], theirs: Callable[[], object],
             repeats: int = REPEATS) -> Row:
    """The row with the times of both, called in turn. Both must have been called before."""
    pairs = [(Stopwatch.of(ours), Stopwatch.of(theirs)) for _ in range(repeats)]
    return timed(row, [own for own, _ in pairs], [other for _, other in pairs])


def missing(row: Row, package: str, distribution: str) -> Row:
    """The row with the version of the peer's package, or, if it is not installed, with that as the
    failure."""
    if find_spec(package) is None:
        return replace(row, failure=f"{package} is not installed")
    return replace(row, version=version(distribution))


def batch() -> Iterator[Row]:
    """1,000 problems of 50 x 50 at once, beside a loop and a batch."""
    made, eps = batches.clouds(1_000, 50), 1e-1
    ours = batches.refot_batch(made, eps)
    reached = batches.worst_error(made, ours(batches.CRITERION)())
    for name, package in (("loop of ot.sinkhorn", ("ot", "POT")),
                          ("OTT vmap, plain", ("ott", "ott-jax"))):
        row = missing(Row("batch", f"{made.name} eps={eps:.0e}", "marginal error 1e-9", name),
                      *package)
        if row.failure:
            yield row
            continue
        tol, error = batches.loosest(made, eps, batches.PEERS[name])
        if np.isnan(tol):
            yield replace(row, failure=f"does not get there; reached {error:.1e}")
            continue
        theirs = batches.PEERS[name](made, eps)
        theirs(tol)
        yield together(replace(row, reached=(reached, error)),
                       partial(ours, batches.CRITERION), partial(theirs, tol))


def gradient() -> Iterator[Row]:
    """The divergence S of two clouds in space with its gradient, beside GeomLoss and OTT at their
    default settings: refot at its loosest tolerance that is as accurate."""
    problem = losses.Problem.of(1_000, 3, 1e-2)
    ours = losses.refot_plain(problem)
    exact, _ = problem.solved()
    for name, package, prepare, setting in (
            ("GeomLoss, scaling 0.5", ("geomloss", "geomloss"), losses.geomloss, 0.5),
            ("OTT, threshold 1e-3", ("ott", "ott-jax"), losses.ott, 1e-3)):
        row = missing(Row("gradient", "S, n=1000 d=3 eps=1e-02", "error of the peer", name),
                      *package)
        if row.failure:
            yield row
            continue
        theirs = prepare(problem)
        error = losses.error_of(theirs(setting), exact)
        tol = losses.as_accurate(ours, exact, error)
        reached = losses.error_of(ours(tol), exact), error
        yield together(replace(row, reached=reached), partial(ours, tol), partial(theirs, setting))


def exact() -> Iterator[Row]:
    """Exact transport beside POT's network simplex, which is given the matrix. The measure of POT
    is how far its value is outside the interval that refot proves, relative to it."""
    instance = Cell("gaussians", 1_000, 1.0).instance()
    row = missing(Row("exact", "gaussians n=1000", "gap 1e-6", "ot.emd2"), "ot", "POT")
    if row.failure:
        yield row
        return
    import ot

    C, matrix, a = instance.C, instance.matrix, instance.a
    ours, theirs = partial(refot.exact, C, a, a, backend="numba"), partial(ot.emd2, a, a, matrix)
    proved = ours().gap
    value = float(theirs())
    outside = max(proved.lower - value, value - proved.upper, 0.0) / proved.upper
    yield together(replace(row, reached=(proved.relative, outside)), ours, theirs, 5)


def multiscale() -> Iterator[Row]:
    """A large cloud in space beside GeomLoss's multiscale method, at two of its settings: refot is
    asked for the gap that the peer's potentials are certified to have."""
    peer = find_peer("geomloss-multiscale")
    instance = LARGE.instance() if peer.installed else None
    for scaling in (0.5, 0.9):
        row = missing(Row("multiscale", LARGE.name, "gap of the peer",
                          f"GeomLoss multiscale, scaling {scaling}"), "pykeops", "geomloss")
        if row.failure or instance is None:
            yield row
            continue
        try:
            yield at_its_gap(row, instance, 1 - scaling)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
            yield replace(row, failure=f"{type(error).__name__}: {error}".splitlines()[0][:200])


def at_its_gap(row: Row, instance: Instance, setting: float) -> Row:
    """The row of GeomLoss's multiscale method at one of its settings."""
    theirs = partial(find_peer("geomloss-multiscale").prepare(instance), setting)
    gap = judge(instance, theirs()).gap
    ours = partial(refot.solve, instance.C, instance.a, instance.a, instance.eps, gap=gap,
                   backend="numba")
    found = ours().gap
    assert found is not None
    return together(replace(row, reached=(found.relative, gap)), ours, theirs)


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "balanced": balanced, "unbalanced": free, "batch": partial(in_one_process, batch),
    "gradient": partial(in_one_process, gradient), "exact": partial(in_one_process, exact),
    "multiscale": partial(in_one_process, multiscale)}
"""By the kind of work, the rows."""


def parts(only: Sequence[str] = ()) -> dict[str, Callable[[], Iterator[Row]]]:
    """All parts, or those with these names. Raises UnknownNameError."""
    for name in only:
        lookup(PARTS, name, "--only")
    return {name: part for name, part in PARTS.items() if not only or name in only}
