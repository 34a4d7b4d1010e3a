"""`refot bench --weak`: how a half-iteration on a Dask cluster grows with workers and with points.

A half-iteration computes one potential from the other one. Strong scaling: the same points on 1, 2,
4, ... workers. Weak scaling: the same number of pairs of points for each worker. The time of a
half-iteration is split into the seconds for which the busiest worker computed, and the rest, which
the messages took. To the rest a model is fitted, with alpha seconds for each message and beta for
each byte:

    seconds of messages = alpha * workers + beta * bytes.

With `pair`, the seconds of a worker for a pair of points, it predicts the time on larger clusters:

    seconds = pair * n m / workers + alpha * workers + beta * 8 (m workers + n).

The model assumes that one process sends all potentials, as is the case, and that the work is shared
evenly.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.backend_contract import prepared
from refot.costs.operands import PointCost, point_cost
from refot.files import write_text
from refot.plots.figures import BLUE, WIDTH, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

N = 100_000
"""Points on each side for one worker."""

EPS = 0.1
"""eps of the half-iterations, in units of an upper bound of max C (`PointCost.bound`)."""

REPEATS = 3
"""How many half-iterations of each kind are timed; their median is taken."""

LARGE = 10_000_000
"""Points on each side in the model's table."""

CLUSTERS = (4, 8, 16, 32, 64)
"""Workers in the model's table."""


@dataclass(frozen=True)
class Half:
    """A measured half-iteration with n points on each side, on `workers` workers.

    `scaling` says what it is for ("small", "strong", "weak", "large"). It took `seconds`, for
    `computing` of which the busiest worker computed; its messages had `bytes` in all."""

    scaling: str
    n: int
    workers: int

    seconds: float
    computing: float
    bytes: int

    @property
    def pair(self) -> float:
        """Seconds of one worker for each pair of points."""
        return self.computing * self.workers / self.n**2

    @property
    def line(self) -> str:
        """A row of the table."""
        per_worker = self.bytes / self.workers / (16 * self.n)
        return (f"| {self.scaling} | {self.n:,} | {self.workers} | {self.seconds:.3g} | "
                f"{self.computing:.3g} | {per_worker:.2f} |")


HEAD = ("| scaling | n = m | workers | seconds | of these computing | bytes for each worker, of "
        "8 (n + m) |\n| --- | ---: | ---: | ---: | ---: | ---: |")


@dataclass(frozen=True)
class Model:
    """The three numbers of the model, in seconds: for a pair, a message, and a byte."""

    pair: float
    alpha: float
    beta: float

    def messages(self, n: int, workers: int) -> float:
        """Seconds that the messages of a half-iteration take."""
        return self.alpha * workers + self.beta * 8 * (n * workers + n)

    def seconds(self, n: int, workers: int) -> float:
        """Seconds of a half-iteration."""
        return self.pair * n * n / workers + self.messages(n, workers)

    def table(self) -> str:
        """What the model predicts for LARGE points on larger clusters, as a table in Markdown."""
        rows = [f"| {workers} | {self.seconds(LARGE, workers):.3g} | "
                f"{self.messages(LARGE, workers) / self.seconds(LARGE, workers):.1%} |"
                for workers in CLUSTERS]
        return "\n".join([f"| workers | model: seconds of a half-iteration, n = m = {LARGE:,} | "
                          "model: of these messages |", "| ---: | ---: | ---: |", *rows])


def fitted(halves: Sequence[Half]) -> Model:
    """The model fitted to the measured half-iterations: alpha and beta >= 0 by least squares of
    relative errors, `pair` from the half-iteration with the most points."""
    from scipy.optimize import nnls  # 0.2 s to import

    rest = np.array([max(half.seconds - half.computing, 1e-9) for half in halves])
    A = np.array([[half.workers, half.bytes] for half in halves]) / rest[:, None]
    (alpha, beta), _ = nnls(A, np.ones(len(halves)))
    largest = max(halves, key=lambda half: half.n)
    return Model(largest.pair, float(alpha), float(beta))


def sizes(workers: int, n: int = N) -> Iterator[tuple[str, int, int]]:
    """(scaling, n, workers) of each half-iteration to be measured on a cluster of `workers`. The
    first and the last help the fit. On the most workers, "small" has 4 n / 10 points, and "large"
    10 n: without it the bytes take too little time to be told from the messages."""
    counts = [2**k for k in range(workers.bit_length())]
    yield "small", 4 * n // 10, counts[-1]
    for count in counts:
        yield "strong", n, count
    for count in counts[1:]:
        yield "weak", int(n * count**0.5), count
    yield "large", 10 * n, counts[-1]


def measured(client: Any, n: int = N) -> Iterator[Half]:
    """Half-iterations on 1, 2, 4, ... of the workers of the client's cluster."""
    from refot.backends.dask import dask_backend

    for scaling, size, workers in sizes(len(client.nthreads()), n):
        backend = dask_backend(client, workers=workers)
        yield half_iteration(backend, points(size), scaling, workers)


def points(n: int) -> PointCost:
    """The squared Euclidean cost of n points on each side, in the unit cube."""
    rng = np.random.default_rng(0)
    return point_cost(rng.random((n, 3)), rng.random((n, 3)) ** 2)


def half_iteration(backend: Any, C: PointCost, scaling: str, workers: int) -> Half:
    """The median of REPEATS softmins, after a first one, which sends the points to the workers."""
    n, eps = C.shape[0], EPS * C.bound()
    weights = np.full(n, 1 / n)
    ready = prepared(backend, C, weights, weights)
    taken = []
    for _ in range(REPEATS + 1):
        backend.softmin(ready, np.zeros(n), eps)
        taken.append(backend.cluster.last)
    kept = taken[1:]
    return Half(scaling, n, workers, statistics.median(each.seconds for each in kept),
                statistics.median(each.computing for each in kept), kept[0].bytes)


def lines(json_file: Path | None, plot: Path | None, n: int = N) -> Iterator[str]:
    """The lines to print: each row as soon as it is measured, then the model.

    They are measured on the cluster at DASK_SCHEDULER_ADDRESS. Without this variable a cluster is
    started here, with a worker for each processor, which only this machine can reach."""
    halves = []
    with _cluster() as client:
        yield f"{client.scheduler.address}, {len(client.nthreads())} workers; eps = {EPS:g} max C"
        yield HEAD
        for half in measured(client, n):
            halves.append(half)
            yield half.line
    model = fitted(halves)
    yield ""
    yield (f"fitted: alpha {model.alpha:.3g} s a message, beta {model.beta:.3g} s a byte, "
           f"{model.pair:.3g} s a pair")
    yield model.table()
    if json_file is not None:
        write_text(json_file, json.dumps({"halves": [asdict(half) for half in halves],
                                          "model": asdict(model)}, indent=1))
    if plot is not None:
        save_figure(figure_of(halves, model), plot)


def _cluster() -> Any:
    """A client: of the scheduler that the environment names, or of a new local cluster."""
    import os

    from distributed import Client

    if address := os.environ.get("DASK_SCHEDULER_ADDRESS"):
        return Client(address, set_as_default=False)
    return Client(n_workers=os.cpu_count(), threads_per_worker=1, host="127.0.0.1",
                  dashboard_address="127.0.0.1:0", set_as_default=False)


def figure_of(halves: Sequence[Half], model: Model) -> Figure:
    """Seconds of a half-iteration against the number of workers. Points are measured, lines are the
    model; the upper panel shows strong scaling, the lower one weak scaling."""
    figure = new_figure(WIDTH, 6.4)
    for axes, scaling in zip(figure.subplots(2, 1), ("strong", "weak"), strict=True):
        shown = [half for half in halves
                 if half.scaling == scaling or (scaling, half.scaling, half.workers)
                 == ("weak", "strong", 1)]
        workers = [half.workers for half in shown]
        axes.plot(workers, [half.seconds for half in shown], "o", color=BLUE, label="measured")
        axes.plot(workers, [model.seconds(half.n, half.workers) for half in shown], "-",
                  color=BLUE, label="model")
        axes.set(xscale="log", yscale="log", xlabel="workers", title=f"{scaling} scaling",
                 ylabel="seconds of a half-iteration")
        axes.legend()
    return figure
