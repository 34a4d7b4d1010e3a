"""What a backend is: an object with a handful of operations of the papers; and how one is chosen.

An equation calls an operation (`softmin`, `plan_apply`, ...) and never knows how it is computed.
The class `Backend` lists the operations that every backend has. What a backend may offer beyond
them, and what is done if it does not, is described by the functions `backend_for`, `prepared`,
`formed_by`, `left_out`, `prefers_softmin`, `recomputes`, `one_thread`, `of_this_process`,
`whereabouts` and by the protocols `DirectionSolver`, `FreeSweeper`, `FlowSolver`, `BatchSolver` and
`Compiled`.

The first of these that is set decides which backend is used: the `backend=` argument,
`use_backend(...)`, the environment variable `REFOT_BACKEND`, `auto`. The backend `auto` computes
nothing itself: `backend_for` asks it for the backend that suits the size of a problem.
A backend module is imported by name when it is first used. Third parties register theirs through
the entry-point group `refot.backends`: an object, or a function without arguments that returns one.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023; U is
unbalanced transport in docs/equations.md. The host is the main memory, as opposed to a GPU's.
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
"""A sparse matrix (n, m) by rows, as in SciPy's CSR format: (values (k,), the column of each (k,),
where each row starts among them (n + 1,))."""

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
"""The backend that is used where nobody has chosen one: `auto` takes the fastest for the size of a
problem."""


class BackendUnavailableError(ValueError):
    """A registered backend that cannot run here. The message says what is missing and how to get
    it."""


@runtime_checkable
class Backend(Protocol):
    """The operations that every backend has.

    F = f + eps log a (n,) and G = g + eps log b (m,) are potentials with their weights, in cost
    units, -inf where a weight is 0. The plan is P_ij = exp((F_i + G_j - C_ij) / eps), (n, m).
    """

    name: str

    @property
    def xp(self) -> ModuleType:
        """The library of the backend's arrays: the module `numpy` or `cupy`."""

    def asarray(self, values: Any) -> Array:
        """`values` as an array of `xp`, of the same dtype."""

    def to_numpy(self, array: Array) -> Array:
        """`array` as a NumPy array."""

    def synchronize(self) -> None:
        """Return when all work handed to the device is done."""

    def softmin(self, C: Cost, h: Array, eps: float, shift: Array | None = None) -> Array:
        """-eps log sum_j exp((h_j - C_ij) / eps), (n,), for h (m,), such as G. B-25, H-8.

        `shift` (n,) is a guess of the result, the previous potential for example. A backend may
        use it to save one pass over C, or ignore it. Even a wrong guess changes the result by no
        more than rounding.
        """

    def plan_apply(self, C: Cost, F: Array, G: Array, eps: float, V: Array) -> Array:
        """P @ V, (n, k) for V (m, k)."""

    def marginals(self, C: Cost, F: Array, G: Array, eps: float) -> tuple[Array, Array]:
        """The sums of the rows and of the columns of the plan, (P 1 (n,), P'1 (m,)), where P' is
        the transpose."""

    def plan_cost(self, C: Cost, F: Array, G: Array, eps: float) -> float:
        """<P, C>, in cost units."""

    def plan_cost_gradient(self, C: PointCost, F: Array, G: Array, eps: float) -> Array:
        """sum_j P_ij d1 c(x_i, y_j), (n, d), with d1 c the derivative of c(x, y) in x."""

    def plan_entries(
        self, C: Cost, F: Array, G: Array, eps: float, least: float, most: int
    ) -> Entries | None:
        """The entries P_ij > least, for least > 0; within a row they are in any order. None if
        there are more than `most`."""

    def gibbs(self, C: Cost, f: Array, g: Array, eps: float, least: float, K: Array) -> None:
        """Write into K (n, m) the entries max(exp((f_i + g_j - C_ij) / eps), least): the kernel of
        G-7, multiplied by the scalings exp(f / eps) and exp(g / eps). K has the dtype of C or is
        float32. Entries too large for it become inf."""

    def sweep(self, K: Array | Entries, v: Array, s: Array, w: float) -> tuple[Array, Array]:
        """(K v (n,), K'u (m,)) with u = s / (K v)^w, for a dense or sparse K, v (m,) and s (n,).

        With w = 1 and s = a this is an iteration of G-7; with w = -1 the second result is
        K' diag(s) K v. A CPU sums in float64, a GPU in the dtype of K. Where an input or a sum is
        not finite, the results may be anything.
        """


@runtime_checkable
class DirectionSolver(Protocol):
    """A backend that also computes Newton's direction from a sparse plan, in one call."""

    def laplacian_solve(self, P: Entries, s: Array, diagonal: Array, y: Array, accuracy: float,
                        most: int) -> Array | None:
        """The solution x (m,) of (diag d - P' diag(s) P) x = y, where d (m,) is `diagonal`, s has
        shape (n,) and y (m,).

        By conjugate gradients, preconditioned with diag d, until the residual r has fallen by the
        factor `accuracy` in the norm sqrt(sum r^2 / d), or for `most` steps. None where the caller
        would be as fast with one product at a time, through `sweep`.
        """


class FreeSweep(NamedTuple):
    """The results of one iteration of unbalanced transport from potentials (f, g)."""

    level: float
    """The number t, in cost units, for which the dual of (f + t, g - t) is largest, with the new f
    below and the g that was given. U-5."""

    residual: float
    """How far the row sums and column sums of the plan of (f + t, g - t), with these same f, g and
    t, are from those that the optimality conditions U-4 ask for."""

    f: Array
    """The new f (n,), moved towards the best one for the given g."""

    g: Array
    """The new g (m,), moved towards the best one for the new f."""


@runtime_checkable
class FreeSweeper(Protocol):
    """A backend that also does one iteration of unbalanced transport, with KL or exact marginals,
    in one call. Small problems need it: on them the time of a call exceeds that of the work."""

    def free_sweep(self, K: Array, noise: float, absorbed: tuple[Array, Array],
                   weights: tuple[Array, Array], eps: float, softness: tuple[float, float],
                   f: Array, g: Array, w: float) -> FreeSweep | None:
        """One iteration from f (n,) and g (m,), over-relaxed by the factor w: each potential is
        moved by w times the step to the best one, or by that step where the dual would fall.

        K_ij = exp((f0_i + g0_j - C_ij) / eps) with the potentials (f0, g0) = `absorbed`; `weights`
        are (a, b); `softness` is the pair of 1 / rho for rows and columns. Row sums are the product
        of K with the scalings b exp((g - g0) / eps), and column sums are computed likewise. The
        result is None where such a sum is not finite, or is at most `noise` times the sum of the
        scalings: then it may be made of rounding alone.
        """


class FlowProblem(Protocol):
    """An unregularised transport problem in which only listed pairs (i, j) may carry mass; pairs
    can be added to the list. Mass that cannot be moved along them goes over two artificial arcs,
    each of which costs `penalty` per unit of mass."""

    penalty: float
    """In cost units. The caller may raise it between two solves."""

    def add(self, rows: Array, columns: Array, costs: Array) -> None:
        """Add k pairs (i, j): `rows` holds i, `columns` j and `costs` C_ij, each (k,)."""

    def steps(self) -> Iterator[None]:
        """Work until the flow is the cheapest. Yields now and then, so that the caller can stop."""

    @property
    def flow(self) -> Array:
        """The mass on each pair, in the order in which they were added, (k,); whole numbers."""

    @property
    def potentials(self) -> tuple[Array, Array]:
        """(f (n,), g (m,)): f_i + g_j = C_ij on pairs with mass, and at most C_ij on all pairs."""


@runtime_checkable
class FlowSolver(Protocol):
    """A backend that also solves unregularised transport over a list of pairs."""

    def flow_problem(self, supply: Array, demand: Array, penalty: float) -> FlowProblem:
        """A problem that has no pairs yet. supply (n,) and demand (m,) are masses, whole numbers
        > 0; both have the same sum, which is at most 2^60."""


SweptBatch: TypeAlias = tuple[Array, Array, Array, Array, Array]
"""(f, g, sweeps, ended, found) of B problems. f and g hold the potentials of all problems one after
the other, in the dtype of the costs. The others are on the host: `sweeps` (B,) the number of
iterations; `ended` (B,) whether these ended by themselves, rather than at the limit; `found` (B, 3)
the marginal error, the atom error (`refot.solvers.accuracy`) and the semi-dual at g."""


@runtime_checkable
class BatchSolver(Protocol):
    """A backend that also solves many small problems in one compiled call."""

    def solve_batch(self, C: Array, sizes: Array, a: Array, b: Array, eps: Array, g: Array,
                    tol: float, atoms: float, most: int) -> SweptBatch:
        """Iterate (sweep) on each problem, starting from g. A problem ends when its marginal error
        is at most `tol` and its atom error at most `atoms`, when further sweeps would not bring it
        there, or after `most` sweeps.

        C, a, b and g hold the arrays of all problems, flattened, one after the other. A row of
        `sizes` (B, 5) holds n, m and where the problem begins in C, in a, and in b and g. `sizes`
        and eps (B,) are on the host.
        """


@runtime_checkable
class Compiled(Protocol):
    """A backend whose kernels can be compiled ahead of time."""

    name: str

    def warm_up(self, everything: bool) -> list[tuple[str, Callable[[], None]]]:
        """Pairs (what is compiled, the call that compiles it) for the common kernels, or for
        `everything`."""


def prepared(backend: Backend, C: Cost, a: Array, b: Array) -> Cost:
    """C in the form with which the backend computes fastest, for a whole solve with weights a (n,)
    and b (m,): the backend's `prepared(C, a, b)` if it has that method, else C itself.

    The result is a Cost with the same values. Its rows and columns are in the caller's order.
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
    """By which share of a row sum of the plan the backend may be wrong, beyond the rounding of a
    sum term by term, for instance because it leaves out far points: its `left_out(C)`, else 0. The
    certified gap allows for this error."""
    return float(backend.left_out(C)) if hasattr(backend, "left_out") else 0.0


def prefers_softmin(backend: Backend, C: Cost, a: Array, b: Array, eps: float) -> bool:
    """Whether two softmins take the backend less time than one `sweep` with a kernel (n, m) in
    memory: its own `prefers_softmin(C, a, b, eps)` if it has that method, else False."""
    return hasattr(backend, "prefers_softmin") and bool(backend.prefers_softmin(C, a, b, eps))


def recomputes(backend: Backend) -> bool:
    """Whether the backend forms the matrix of a cost between points anew at each use, so that
    keeping the matrix saves time: its attribute `recomputes` if it has one, else False."""
    return bool(getattr(backend, "recomputes", False))


def one_thread(backend: Backend) -> AbstractContextManager[None]:
    """A context in which the backend computes on the calling thread alone, so that the digits of a
    sum do not depend on the number of threads: its `one_thread()`, where it starts threads."""
    context: AbstractContextManager[None] = (
        backend.one_thread() if hasattr(backend, "one_thread") else nullcontext())
    return context


def whereabouts(backend: Backend) -> str:
    """In words, where the backend computes if that is not this process: its attribute
    `whereabouts`, else ""."""
    return str(getattr(backend, "whereabouts", ""))


def of_this_process(backend: Backend) -> Backend:
    """The backend for small problems, which are not worth being sent anywhere: for one that
    computes elsewhere its attribute `inner`, which computes here. Else the backend itself."""
    found: Backend = getattr(backend, "inner", backend)
    return found if found.xp is backend.xp else backend


BackendLike: TypeAlias = str | Backend | None

P = ParamSpec("P")
T = TypeVar("T")

_chosen: ContextVar[Backend | None] = ContextVar("refot_backend", default=None)


def entry_points(group: str) -> Iterable[EntryPoint]:
    """The entry points of a group, of all installed packages."""
    from importlib.metadata import entry_points as found  # it takes 40 ms, so only where needed

    return found(group=group)


def backend_names() -> list[str]:
    """Every name that `get_backend` accepts: of built-in backends and of other packages' ones."""
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
    """The backend to compute with: the argument, else what `use_backend` chose, else the one that
    the environment variable REFOT_BACKEND names, else "auto".

    Raises UnknownNameError for a name that is not registered, TypeInputError for an object that
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
    """The backend for a problem of this number of pairs (x_i, y_j), n m: `get_backend(backend)`. If
    that one only chooses among others, as "auto" does, it is the result of its `chosen(pairs)`.
    Raises as `get_backend` does."""
    found = get_backend(backend)
    if not hasattr(found, "chosen"):
        return found
    chosen: Backend = found.chosen(pairs)
    return chosen


FASTEST = {"cpu": DEFAULT_BACKEND, "cuda": "cupy"}
"""The fastest built-in backend for arrays on each kind of device."""


def fastest_backend(device: str, backend: BackendLike = None) -> Backend:
    """The backend that was chosen, as in `get_backend`. Where none was chosen, the fastest for
    arrays on this kind of device, "cpu" or "cuda". Raises as `get_backend` does."""
    chosen = backend or _chosen.get() or os.environ.get(VARIABLE) or FASTEST.get(device)
    return get_backend(chosen)


class use_backend:  # noqa: N801 - called as a function
    """Make `backend`, a name or an object, the default from here on; returns at once.

        use_backend("numba")            # until the next choice
        with use_backend("numba"):      # until the end of the block, even if an error ends it;
            ...                         # then the default from before the call is restored
        @use_backend("numba")           # while the function runs, and at no other time
        def f(): ...

    The choice holds for this thread, or this asyncio task, alone. A thread that is started later
    begins with REFOT_BACKEND, or "auto". For a choice that holds in all threads and processes set
    REFOT_BACKEND. Raises what `get_backend` raises, and then changes nothing.
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
    """What `refot backends` shows of one backend. `reason` says why it cannot be used ("" if it
    can); `rule` says, for a backend that chooses among others, which one it chooses when."""

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
