"""What a backend is: a handful of named operations of the papers, and how one is chosen.

An equation asks for an operation (`softmin`, `plan_apply`, ...) and never knows how it is computed.
What a backend may offer beyond these operations, and what is done for one that does not, is said by
`backend_for`, `prepared`, `formed_by`, `left_out`, `prefers_softmin`, `recomputes`, `one_thread`,
`whereabouts` and the protocols `DirectionSolver`, `FreeSweeper`, `FlowSolver`, `BatchSolver` and
`Compiled`.

The choice, strongest first: the `backend=` argument, `use_backend(...)`, `REFOT_BACKEND`, `auto`.
`auto` is a choice itself: a problem asks it by `backend_for`, and is on one backend from then on.
A backend module is imported by name when it is first used. Third parties register theirs through
the entry-point group `refot.backends`: an object, or a function without arguments that returns one.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, wraps
from types import ModuleType
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    runtime_checkable,
)

from refot.arrays import Array, TypeInputError, UnknownNameError
from refot.costs.formed import formed
from refot.costs.operands import Cost, DenseCost, PointCost

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Entries: TypeAlias = tuple[Array, Array, Array]
"""A sparse matrix by rows: values, their columns, and where each row starts, (n + 1,)."""

BUILT_IN = {
    "auto": "refot.backends.auto.backend:AutoBackend",
    "numpy": "refot.backends.numpy.backend:NumpyBackend",
    "numba": "refot.backends.numba.backend:NumbaBackend",
    "cupy": "refot.backends.cupy.backend:CupyBackend",
    "dask": "refot.backends.dask.backend:DaskBackend",
}
ENTRY_POINTS = "refot.backends"
VARIABLE = "REFOT_BACKEND"
DEFAULT_BACKEND = "auto"
"""Where nobody has chosen: the faster one for the size of the problem."""


class BackendUnavailableError(ValueError):
    """A backend that is known but cannot run here: says what is missing and how to get it."""


@runtime_checkable
class Backend(Protocol):
    """The operations of a backend. F = f + eps log a (n,), G = g + eps log b (m,), in cost units,
    -inf where a weight is 0; the plan is P_ij = exp((F_i + G_j - C_ij) / eps)."""

    name: str

    @property
    def xp(self) -> ModuleType:
        """The array namespace: numpy, cupy."""

    def asarray(self, values: Any) -> Array:
        """`values` as an array of `xp`, dtype kept."""

    def to_numpy(self, array: Array) -> Array:
        """`array` as a NumPy array."""

    def synchronize(self) -> None:
        """Return when all work handed to the device is done."""

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,). B-25, H-8.

        `shift` (n,) is a guess of the result, the previous potential for example. A backend may
        save a pass with it, or ignore it: it changes the result by rounding at most, whatever it
        holds.
        """

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V, (n, k) for V (m, k)."""

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """(P 1 (n,), P'1 (m,))."""

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>."""

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d)."""

    def plan_entries(
        self, C: Cost, F: Array, G: Array, eps: float, least: float, most: int
    ) -> Entries | None:
        """The entries P_ij > least (> 0), each row's in any order; None if more than `most`."""

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """K_ij = max(exp((f_i + g_j - C_ij) / eps), least): the kernel of G-7 with potentials
        absorbed, into K (n, m), in the dtype of C or in float32. Entries too large become inf."""

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v (n,), K'u (m,)) with u = s / (K v)^w, K a matrix or sparse: an iteration of G-7
        where w = 1, s = a; K' diag(s) K v where w = -1.

        Sums are in float64 on the processor, in the dtype of K on a device; nothing is said of what
        is not finite.
        """


@runtime_checkable
class DirectionSolver(Protocol):
    """What a backend may offer beyond the contract: Newton's direction from a sparse plan."""

    def laplacian_solve(self, P: Entries, s: Array, diagonal: Array, y: Array, accuracy: float,
                        most: int) -> Array | None:
        """x (m,) with (diag d - P' diag(s) P) x = y, by conjugate gradients which diag d
        preconditions, to a relative `accuracy` in the norm of 1 / d or for at most `most` steps.
        None where products, one after the other, are as fast."""


class FreeSweep(NamedTuple):
    """What an iteration of unbalanced transport makes of (f, g)."""

    level: float
    """The best t for (f + t, g - t), with the f below and the g that was given: U-5."""

    residual: float
    """That of this pair: U-4."""

    f: Array
    """f, moved towards the best one for g."""

    g: Array
    """g, moved towards the best one for this f."""


@runtime_checkable
class FreeSweeper(Protocol):
    """What a backend may offer beyond the contract: an iteration of unbalanced transport with KL
    or exact marginals, in one call, for problems so small that calls would take all of the time."""

    def free_sweep(self, K: Array, noise: float, absorbed: tuple[Array, Array],
                   weights: tuple[Array, Array], eps: float, softness: tuple[float, float],
                   f: Array, g: Array, w: float) -> FreeSweep | None:
        """The iteration from (f, g), relaxed by w, with K = exp((f0 + g0 - C) / eps), (f0, g0) =
        `absorbed`. `softness` is 1 / rho of rows and columns. None where a sum of K with scalings
        is not finite, or not above `noise` times the sum of these scalings."""


class FlowProblem(Protocol):
    """A transport problem over a list of pairs, to which more pairs may be added. Mass that the
    pairs leave no way for goes by two artificial arcs, each at the cost `penalty`."""

    penalty: float
    """It may be raised between two solves."""

    def add(self, rows: Array, columns: Array, costs: Array) -> None:
        """More pairs (k,), with their costs."""

    def steps(self) -> Iterator[None]:
        """Work until the flow is the cheapest; a pause now and then, so that it can be ended."""

    @property
    def flow(self) -> Array:
        """The mass on each pair, in the order in which they were added, (k,); whole numbers."""

    @property
    def potentials(self) -> tuple[Array, Array]:
        """(f (n,), g (m,)): f_i + g_j = C_ij on pairs with mass, and at most C_ij on all pairs."""


@runtime_checkable
class FlowSolver(Protocol):
    """What a backend may offer beyond the contract: exact transport over a list of pairs."""

    def flow_problem(self, supply: Array, demand: Array, penalty: float) -> FlowProblem:
        """The problem without any pair. supply (n,) and demand (m,) are masses in whole numbers
        > 0, of one sum, which is at most 2^60."""


SweptBatch: TypeAlias = tuple[Array, Array, Array, Array, Array]
"""Potentials f and g of all problems, flat, in the dtype of the costs; and on the host, of each
problem: its sweeps (B,), whether these came to an end (B,), and (B, 3) the marginal error, the atom
error and the semi-dual at g of what is returned."""


@runtime_checkable
class BatchSolver(Protocol):
    """What a backend may offer beyond the contract: many small problems in one compiled pass."""

    def solve_batch(self, C: Array, sizes: Array, a: Array, b: Array, eps: Array, g: Array,
                    tol: float, atoms: float, most: int) -> SweptBatch:
        """Sweeps of each problem from g until its marginal error is at most `tol` and its atom
        error at most `atoms`, or until they are no longer of use, at most `most`.

        C, a, b and g are flat; sizes (B, 5) holds n, m and where the problem begins in C, in a, and
        in b and g; eps (B,), on the host as sizes is.
        """


@runtime_checkable
class Compiled(Protocol):
    """What a backend may offer beyond the contract: kernels that can be compiled ahead of time."""

    name: str

    def warm_up(self, everything: bool) -> list[tuple[str, Callable[[], None]]]:
        """(what is compiled, the call that does so): the common kernels, or all of them."""


def prepared(backend: Backend, C: Cost, a: Array, b: Array) -> Cost:
    """C in the form that the backend computes with fastest, for a whole solve with weights a (n,)
    and b (m,): its own `prepared(C, a, b)`, else C itself.

    What comes back is a Cost of the same values, with points and results in the caller's order.
    """
    operand: Cost = backend.prepared(C, a, b) if hasattr(backend, "prepared") else C
    return operand


def formed_by(backend: Backend, C: Cost) -> DenseCost:
    """C as a matrix (n, m): by the backend's own `formed(C)`, else in its array library."""
    if isinstance(C, PointCost) and hasattr(backend, "formed"):
        matrix: DenseCost = backend.formed(C)
        return matrix
    return formed(C)


def left_out(backend: Backend, C: Cost) -> float:
    """The share of the sum of a row of the plan that the backend may leave out, or be wrong by,
    beyond the roundings of a sum term by term: its own `left_out(C)`, else 0. The certified gap
    allows for it."""
    return float(backend.left_out(C)) if hasattr(backend, "left_out") else 0.0


def prefers_softmin(backend: Backend, C: Cost, a: Array, b: Array, eps: float) -> bool:
    """Whether two softmins take the backend less time than one `sweep` of a kernel (n, m) that is
    in memory: its own `prefers_softmin(C, a, b, eps)`, else no."""
    return hasattr(backend, "prefers_softmin") and bool(backend.prefers_softmin(C, a, b, eps))


def recomputes(backend: Backend) -> bool:
    """Whether the backend forms a cost between points anew, in memory, at each use, so that a
    matrix which is kept saves time: its own attribute `recomputes`, else no."""
    return bool(getattr(backend, "recomputes", False))


def one_thread(backend: Backend) -> AbstractContextManager[None]:
    """Until the end of a `with` block the backend computes on the calling thread alone, so that the
    digits of a sum do not depend on the number of threads: its own `one_thread()`, where it has
    threads of its own."""
    context: AbstractContextManager[None] = (
        backend.one_thread() if hasattr(backend, "one_thread") else nullcontext())
    return context


def whereabouts(backend: Backend) -> str:
    """Where the backend computes, in words, if that is not this process: its own attribute
    `whereabouts`, else ""."""
    return str(getattr(backend, "whereabouts", ""))


BackendLike: TypeAlias = str | Backend | None

P = ParamSpec("P")
T = TypeVar("T")

_chosen: ContextVar[Backend | None] = ContextVar("refot_backend", default=None)


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of that group, of all installed packages."""
    from importlib.metadata import entry_points as found  # 40 ms: only where names are listed

    return found(group=group)


def backend_names() -> list[str]:
    """Every name `get_backend` knows: built in, and registered by other packages."""
    return sorted(set(BUILT_IN) | {entry.name for entry in entry_points(group=ENTRY_POINTS)})


@cache
def _load(name: str) -> Backend:
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        found = getattr(importlib.import_module(module), attribute)
    else:
        registered = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
        if name not in registered:
            known = ", ".join(backend_names())
            raise UnknownNameError("backend", f"{name!r}", f"one of {known} (or an object)")
        found = registered[name].load()
    backend = found if isinstance(found, Backend) and not isinstance(found, type) else found()
    parts = ["name", *(part for part in vars(Backend) if not part.startswith("_"))]
    missing = ", ".join(part for part in parts if not hasattr(backend, part))
    if missing:
        raise BackendUnavailableError(
            f"backend {name!r}: {backend!r} lacks part of the contract: {missing}")
    return backend


def get_backend(backend: BackendLike = None) -> Backend:
    """The backend to compute with: the argument, else `use_backend`, else REFOT_BACKEND, auto.

    Raises UnknownNameError for a name that nobody registered, TypeInputError for an object that
    is no backend, BackendUnavailableError where the package or the device it needs is missing.
    """
    if backend is None:
        backend = _chosen.get() or os.environ.get(VARIABLE) or DEFAULT_BACKEND
    if isinstance(backend, str):
        return _load(backend)
    if isinstance(backend, type) or not isinstance(backend, Backend):
        raise TypeInputError("backend", f"{backend!r}", "a name, or an object with the contract")
    return backend


def backend_for(pairs: int, backend: BackendLike = None) -> Backend:
    """The backend for a problem of this number of pairs (x_i, y_j): `get_backend(backend)` or,
    where that is a choice among several, its own `chosen(pairs)`. Raises as `get_backend` does."""
    found = get_backend(backend)
    if not hasattr(found, "chosen"):
        return found
    chosen: Backend = found.chosen(pairs)
    return chosen


FASTEST = {"cpu": DEFAULT_BACKEND, "cuda": "cupy"}
"""The fastest backend built in for arrays that lie on a kind of device."""


def fastest_backend(device: str, backend: BackendLike = None) -> Backend:
    """The backend that was chosen, by the argument or in any other way; where none was, the fastest
    for arrays on this kind of device: "cpu" or "cuda". Raises as `get_backend` does."""
    chosen = backend or _chosen.get() or os.environ.get(VARIABLE) or FASTEST.get(device)
    return get_backend(chosen)


class use_backend:  # noqa: N801 - called as a function
    """Make `backend`, a name or an object, the default from here on; returns at once.

        use_backend("numba")            # until the next choice
        with use_backend("numba"):      # until the end of the block, whatever happens in it:
            ...                         # then the default that stood before the call is back
        @use_backend("numba")           # while the function runs, and at no other time
        def f(): ...

    The choice is that of this thread, or of this asyncio task: others do not see it, and a thread
    that is started later begins with REFOT_BACKEND, or auto. For a choice that holds for all
    threads and processes set REFOT_BACKEND. Raises what `get_backend` raises, before any change.
    """

    def __init__(self, backend: str | Backend) -> None:
        if backend is None:
            raise TypeInputError("backend", "None", "a name, or an object with the contract")
        self.chosen, self.before = get_backend(backend), _chosen.get()
        _chosen.set(self.chosen)

    def __enter__(self) -> Backend:
        _chosen.set(self.chosen)
        return self.chosen

    def __exit__(self, *_: object) -> None:
        _chosen.set(self.before)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        _chosen.set(self.before)  # the choice was for the function alone

        @wraps(function)
        def chosen(*arguments: P.args, **options: P.kwargs) -> T:
            with use_backend(self.chosen):
                return function(*arguments, **options)

        return chosen

    def __repr__(self) -> str:
        return f"use_backend({self.chosen.name!r})"


@dataclass(frozen=True)
class BackendStatus:
    """What `refot backends` tells of one backend; `reason` says why it cannot be used, and `rule`
    which one it chooses where it is a choice among several."""

    name: str
    available: bool
    default: bool
    reason: str
    rule: str = ""


def backend_status() -> list[BackendStatus]:
    """Every known backend: whether it runs here, whether it is the default, and why not."""
    chosen = _chosen.get()
    default = chosen.name if chosen is not None else os.environ.get(VARIABLE) or DEFAULT_BACKEND
    statuses = []
    for name in backend_names():
        try:
            rule, reason = getattr(_load(name), "rule", ""), ""
        except (BackendUnavailableError, ImportError) as error:
            rule, reason = "", str(error)
        statuses.append(BackendStatus(name, not reason, name == default, reason, rule))
    return statuses
