"""refot itself as peers of the benchmark: its backends, methods and precisions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance

from .peer import UNBOUNDED, Peer, Solve


# ------------------------------------------------------------------ refot
def refot_solve(
    instance: Instance, *, method: str = "auto", backend: str = "numba", dtype: str = "float64"
) -> Solve:
    """`refot.solve` with this method, on this backend, in this precision."""
    import refot

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)

    def solve(accuracy: float) -> Answer:
        found = refot.solve(C, a, a, instance.eps, method=method, tol=accuracy,
                            max_iter=UNBOUNDED, backend=backend)
        return Answer(found.f, found.g, found.iterations)

    return solve


def refot_log(instance: Instance, *, dtype: str = "float64") -> Solve:
    """`refot.sinkhorn_log`: the plain iteration, which computes every term of every sum, on points
    in the order in which they are given."""
    import refot

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)

    def solve(accuracy: float) -> Answer:
        found = refot.sinkhorn_log(C, a, a, instance.eps, tol=accuracy, max_iter=UNBOUNDED,
                                   backend="numba")
        return Answer(found.f, found.g, found.iterations)

    return solve


def refot_half(
    instance: Instance, *, backend: str = "numba", dtype: str = "float64", ordered: bool = True
) -> Callable[[], Any]:
    """A softmin, shifted by the previous potential against overflow.

    With `ordered`, a backend that can do so first sorts the points into groups of near neighbours,
    as in `refot.solve`; else they stay in the given order, as in `refot.sinkhorn_log`."""
    from refot.backend_contract import prepared
    from refot.problem import problem

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)
    p = problem(C, a, a, instance.eps, backend)
    p = replace(p, C=prepared(p.backend, p.C, p.a, p.b)) if ordered else p
    g = np.zeros(len(a), dtype)
    f = p.transform(g)
    return lambda: p.transform(g, f)


def refot_sweep(instance: Instance, *, dtype: str = "float64") -> Callable[[], Any]:
    """A sweep of the stabilised method of `refot.solve`: two half-iterations by products with a
    kernel that has absorbed the potentials, so that it does not underflow at small eps. The kernel
    is formed before the time is taken, as it is for POT."""
    from refot.problem import problem
    from refot.solvers.stabilised import Kernel

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)
    p = problem(C, a, a, instance.eps, "numba")
    kernel = Kernel(p)
    f, g, _ = next(kernel.iterates(p, np.zeros(len(a), dtype)))
    return lambda: kernel.sweep(f, g, 1.0)


def peers() -> list[Peer]:
    """Backends and methods of refot. The first is the reference with which all are compared."""
    package = ("numba", "refot")
    methods = ("sinkhorn", "schedule", "accelerated", "overrelaxed", "stabilised", "newton-cg",
               "mixed")
    return [
        Peer("refot", refot_solve, package, half=refot_sweep, halves=2),
        Peer("refot-float32", partial(refot_solve, dtype="float32"), package,
             half=partial(refot_sweep, dtype="float32"), halves=2),
        Peer("refot-groups", partial(refot_solve, method="overrelaxed"), package, half=refot_half),
        Peer("refot-groups-float32", partial(refot_solve, method="overrelaxed", dtype="float32"),
             package, half=partial(refot_half, dtype="float32")),
        Peer("refot-numpy", partial(refot_solve, backend="numpy"),
             half=partial(refot_half, backend="numpy")),
        Peer("refot-log", refot_log, package, half=partial(refot_half, ordered=False)),
        Peer("refot-log-float32", partial(refot_log, dtype="float32"), package,
             half=partial(refot_half, dtype="float32", ordered=False)),
        *(Peer(f"refot-{method}", partial(refot_solve, method=method), package)
          for method in methods),
    ]
