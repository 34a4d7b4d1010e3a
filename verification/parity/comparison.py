"""Each operation of a backend on a problem, compared with the reference.

The reference is the NumPy backend, or the formula itself, on the same inputs in a wider float, so
that the rounding of the backend is measured. `problems.py` derives how large that may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import Backend, Entries

from .problems import REFERENCE, WIDER, ParityProblem, fixed_problems, unit

LEAST = 2e-38
"""Smaller entries of an absorbed kernel are raised to this: the smallest bound that solvers use in
float32."""

ENTRY = 1e-5
"""The threshold with which the sparse plan is tested: entries of at least this size belong to it.
"""


@dataclass(frozen=True)
class Result:
    """The largest error of one operation on one problem.

    error: absolute. relative_in_u: relative to the largest entry of the result, in units of the
    unit roundoff u. share: as a share of what is allowed. note: a wrong shape or dtype."""

    operation: str
    case: str
    dtype: str
    error: float
    relative_in_u: float
    share: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is within what is allowed; NaN is not."""
        return self.share <= 1


def parity(backend: Backend) -> Iterator[Result]:
    """Every operation of the backend on every fixed problem, in float32 and float64."""
    for dtype in (np.float32, np.float64):
        for problem in fixed_problems(dtype):
            yield from compared(backend, problem)


def compared(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """Every operation of the backend on one problem."""
    for compare in OPERATIONS.values():
        yield from compare(backend, problem)


def result(operation: str, problem: ParityProblem, got: Any, want: Any, allowed: Any,
           due: Any = None) -> Result:
    """Compare |got - want| with `allowed`, entry by entry. `due` is the right dtype of the answer,
    by default that of the problem."""
    return measured(operation, problem.name, problem.dtype, got, want, allowed,
                    due or problem.dtype)


def measured(operation: str, case: str, dtype: Any, got: Any, want: Any, allowed: Any, due: Any
             ) -> Result:
    """Compare |got - want| with `allowed`, entry by entry; where `want` is infinite, both must be
    equal. An answer with another shape than `want`, or another dtype than `due`, fails."""
    got, want = np.asarray(got), np.asarray(want, WIDER[dtype])
    largest = float(abs(want[np.isfinite(want)]).max(initial=0)) or 1.0

    def of(error: float, share: float, note: str = "") -> Result:
        return Result(operation, case, np.dtype(dtype).name, error, error / largest / unit(dtype),
                      share, note)

    if (got.shape, got.dtype) != (want.shape, np.dtype(due)):
        return of(np.inf, np.inf, f"{got.dtype} {got.shape}, not {np.dtype(due)} {want.shape}")
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.where(got == want, 0, abs(got.astype(WIDER[dtype]) - want))
        shares = np.where(errors == 0, 0, errors / np.broadcast_to(allowed, want.shape))
    return of(float(errors.max(initial=0)), float(shares.max(initial=0)))


# ------------------------------------------------------------------ the operations
def softmin(backend: Backend, problem: ParityProblem, shift: Array | None = None
            ) -> Iterator[Result]:
    """-eps log sum_j exp((G_j - C_ij) / eps). A `shift` (n,), a guess of the result, must not
    change it whatever its numbers are."""
    p, r = problem.converted(backend.asarray), problem.wider
    guess = None if shift is None else backend.asarray(shift)
    yield result("softmin", problem, backend.to_numpy(backend.softmin(p.C, p.G, p.eps, guess)),
                 REFERENCE.softmin(r.C, r.G, r.eps), problem.softmin_error)


def plan_apply(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """P @ V. The error allowed is that of an entry of P, times P @ |V|."""
    p, P, V = problem.converted(backend.asarray), problem.plan, problem.wider.V
    got = backend.to_numpy(backend.plan_apply(p.C, p.F, p.G, p.eps, p.V))
    yield result("plan_apply", problem, got, P @ V,
                 problem.entry_error * (P @ abs(V)) + problem.underflow(abs(V).max()))


def marginals(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """P 1 and P'1. Terms may be added one after the other, so that each is allowed a rounding."""
    p, (n, m) = problem.converted(backend.asarray), problem.C.shape
    found = backend.marginals(p.C, p.F, p.G, p.eps)
    for side, got, terms in zip(("rows", "columns"), found, (m, n), strict=True):
        sums = problem.plan.sum(axis=1 if side == "rows" else 0)
        relative = problem.entry_error + terms * unit(problem.dtype)
        yield result(f"marginals, {side}", problem, backend.to_numpy(got), sums,
                     relative * sums + max(n, m) * problem.underflow())


def plan_cost(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """<P, C>, which must be a float of Python."""
    p, P, sizes = problem.converted(backend.asarray), problem.plan, problem.cost_sizes
    got = backend.plan_cost(p.C, p.F, p.G, p.eps)
    yield result("plan_cost", problem, got, (P * problem.wider.C.dense()).sum(),
                 problem.entry_error * (P * sizes).sum()
                 + problem.underflow(len(P) * sizes.max()), np.float64)


def plan_cost_gradient(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x. Nothing is
    compared for a cost matrix."""
    p, C = problem.converted(backend.asarray), problem.wider.C
    if problem.d == 0:
        return
    slopes = C.gradient_rows(slice(None))  # type: ignore[union-attr]
    got = backend.plan_cost_gradient(p.C, p.F, p.G, p.eps)  # type: ignore[arg-type]
    want, sizes = (np.einsum("ij,ijd->id", problem.plan, S) for S in (slopes, abs(slopes)))
    yield result("plan_cost_gradient", problem, backend.to_numpy(got), want,
                 problem.entry_error * sizes + problem.underflow(abs(slopes).max()))


def plan_entries(backend: Backend, problem: ParityProblem, least: float = ENTRY
                 ) -> Iterator[Result]:
    """The sparse plan: all entries above `least` and no others, where entries within rounding of
    `least` may belong to it or not. The backend must return None if more entries belong to it than
    the caller allows."""
    p, P, error = problem.converted(backend.asarray), problem.plan, problem.entry_error
    found = backend.plan_entries(p.C, p.F, p.G, p.eps, least, P.size)
    if found is None:
        yield result("plan_entries", problem, None, P, 0.0)
        return
    values, columns, starts = (backend.to_numpy(array) for array in found)
    got = np.zeros(P.shape, values.dtype)
    np.add.at(got, (np.repeat(np.arange(len(P)), np.diff(starts)), columns), values)
    kept = got > 0
    wrong = np.where(kept, P * (1 + error) < least, least * (1 + error) < P)
    yield result("plan_entries", problem, got, np.where(wrong == kept, 0, P),
                 np.where(wrong, 0, error * P))
    if len(values) > 0:
        fewer = backend.plan_entries(p.C, p.F, p.G, p.eps, least, len(values) - 1)
        yield result("plan_entries, too many", problem, fewer is None, True, 0.0, np.bool_)


def gibbs(backend: Backend, problem: ParityProblem, least: float = LEAST, kept: Any = None
          ) -> Iterator[Result]:
    """The absorbed kernel max(P, least), in the dtype `kept`, by default that of the problem. An
    entry raised to `least` may be computed as exp(log least), which is off by |log least|
    roundings."""
    p, u, kept = problem.converted(backend.asarray), unit(problem.dtype), kept or problem.dtype
    K = backend.asarray(np.full(problem.C.shape, np.nan, kept))
    backend.gibbs(p.C, p.F, p.G, p.eps, least, K)
    raised = np.where(least >= problem.plan, (abs(np.log(least)) + 2) * u, 0)
    want = np.maximum(problem.plan, least)
    yield result("gibbs", problem, backend.to_numpy(K), want,
                 (problem.entry_error + 2 * unit(kept) + raised) * want, kept)


def sweep(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """A sweep (`swept`) with the kernel K = max(P, 1e-6), so that no sum is 0."""
    n, m = problem.C.shape
    K = np.maximum(problem.plan, 1e-6).astype(problem.dtype)
    v, s = (np.linspace(0.5, 2, size).astype(problem.dtype) for size in (m, n))
    yield from swept(backend, problem.name, K, v, s, 1.0)


def transposed(backend: Backend, problem: ParityProblem) -> Iterator[Result]:
    """softmin and plan_apply on the transposed problem, whose cost matrix is a view."""
    other = problem.T
    # Every sum would be empty, and so have no logarithm.
    if np.isneginf(other.G).all():
        return
    for compare in (softmin, plan_apply):
        yield from compare(backend, other)


OPERATIONS = {compare.__name__: compare for compare in (
    softmin, plan_apply, marginals, plan_cost, plan_cost_gradient, plan_entries, gibbs, sweep,
    transposed)}
"""By its name, the comparison of each operation of the contract."""


# ------------------------------------------------------------------ a sweep with a given kernel
def swept(backend: Backend, name: str, K: Array, v: Array, s: Array, w: float, *,
          sparse: bool = False) -> Iterator[Result]:
    """The products r = K v and K'x of a sweep, with x = s / r^w, which `Backend.sweep` returns for
    K, v, s and w. K (n, m) is given as a matrix, or with `sparse` as its positive entries; v (m,),
    s (n,), and an exponent w.

    n + 2 m + 8 roundings are allowed: for sums of m and of n positive terms, and for a power that
    errs by w times as much as a sum. Rounding w moves r^w by another |w log r| roundings.
    They are roundings of the dtype of v on the processor, and of the dtype of K on a device.
    """
    (n, m), dtype = K.shape, v.dtype.type
    u = unit(dtype if backend.xp is np else K.dtype)
    given = _entries(backend, K) if sparse else backend.asarray(K)
    found = backend.sweep(given, backend.asarray(v), backend.asarray(s), w)
    K, v, s = (array.astype(WIDER[dtype]) for array in (K, v, s))
    r = K @ v
    roundings = n + 2 * m + 8 + abs(w) * float(abs(np.log(r)).max())
    wanted = r, (s * r**-w) @ K
    for part, got, want in zip(("K v", "K'u"), map(backend.to_numpy, found), wanted, strict=True):
        yield measured(f"sweep, {part}", name, dtype, got, want, roundings * u * want,
                       got.dtype)


def _entries(backend: Backend, K: Array) -> Entries:
    """The positive entries of K in the form of `Entries`, row by row, as arrays of the backend."""
    rows, columns = K.nonzero()
    starts = np.searchsorted(rows, np.arange(len(K) + 1))
    values, places, starts = map(backend.asarray, (K[rows, columns], columns.astype(np.int32),
                                                   starts))
    return values, places, starts
