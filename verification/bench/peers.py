"""Who takes part: a name, the package it needs, and how it is called. refot and POT are here.

`prepare(instance)` brings a problem into a peer's form, outside the clock, and returns what is
timed: a function of the accuracy asked for, in whatever measure the peer stops by, to an Answer.
`half(instance)` returns one half-iteration. Iterations have no bound: the limit is that of time.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array, UnknownNameError

from .criterion import Answer
from .problems import Instance

Solve: TypeAlias = Callable[[float], Answer]
Prepare: TypeAlias = Callable[[Instance], Solve]
Half: TypeAlias = Callable[[Instance], Callable[[], Any]]

UNBOUNDED = 10**7
"""Iterations that no peer gets through within its time."""


@dataclass(frozen=True)
class Peer:
    """`matrix`: it needs the cost as a matrix (n, n). `package`: import name, distribution.
    `halves`: how many half-iterations one call of `half` does."""

    name: str
    prepare: Prepare
    package: tuple[str, str] = ("refot", "refot")
    matrix: bool = False
    half: Half | None = None
    halves: int = 1

    @property
    def installed(self) -> bool:
        """Whether its package is here."""
        return find_spec(self.package[0]) is not None

    @property
    def version(self) -> str:
        """The version of its distribution."""
        return version(self.package[1])


def density(u: Array, v: Array, instance: Instance) -> tuple[Array, Array]:
    """(f, g) from log scalings, P_ij = exp(u_i + v_j - C_ij / eps)."""
    log_a = np.log(instance.a)
    return instance.eps * (u - log_a), instance.eps * (v - log_a)


# ------------------------------------------------------------------ refot
def refot_solve(
    instance: Instance, *, method: str = "auto", backend: str = "numba", dtype: str = "float64"
) -> Solve:
    """`refot.solve` with that method on that backend, in that precision."""
    import refot

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)

    def solve(accuracy: float) -> Answer:
        found = refot.solve(C, a, a, instance.eps, method=method, tol=accuracy,
                            max_iter=UNBOUNDED, backend=backend)
        return Answer(found.f, found.g, found.iterations)

    return solve


def refot_log(instance: Instance, *, dtype: str = "float64") -> Solve:
    """`refot.sinkhorn_log`: the plain iteration, term by term, the points as they come."""
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
    """The softmin, with the previous potential as its shift, of points in order, by groups; else,
    points as they come, as within `refot.sinkhorn_log`."""
    from refot.problem import problem
    from refot.solvers.far_tiles import in_order

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)
    p = problem(C, a, a, instance.eps, backend)
    p = replace(p, C=in_order(p)) if ordered else p
    g = np.zeros(len(a), dtype)
    f = p.transform(g)
    return lambda: p.transform(g, f)


def refot_sweep(instance: Instance, *, dtype: str = "float64") -> Callable[[], Any]:
    """A sweep with the absorbed kernel, as within `refot.solve` where that is due: two
    half-iterations, safe at every eps; the kernel is formed outside the clock, as POT's is."""
    from refot.problem import problem
    from refot.solvers.stabilised import Kernel

    C, a = instance.C.with_arrays(lambda x: x.astype(dtype)), instance.a.astype(dtype)
    p = problem(C, a, a, instance.eps, "numba")
    kernel = Kernel(p)
    f, g, _ = next(kernel.iterates(p, np.zeros(len(a), dtype)))
    return lambda: kernel.sweep(f, g, 1.0)


def refots() -> list[Peer]:
    """Backends and methods of refot; the first is the one that all are compared with."""
    package = ("numba", "refot")
    methods = ("sinkhorn", "schedule", "overrelaxed", "stabilised", "newton-cg", "mixed")
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


# ------------------------------------------------------------------ POT
def pot_sinkhorn(instance: Instance, *, method: str, keys: tuple[str, str], scalings: bool,
                 count: str) -> Solve:
    """`ot.sinkhorn(method=...)`; its log holds scalings, or their logarithms, under `keys`."""
    import ot

    C, a, eps = instance.matrix, instance.a, instance.eps

    def solve(accuracy: float) -> Answer:
        _, log = ot.sinkhorn(a, a, C, eps, method=method, numItermax=UNBOUNDED, stopThr=accuracy,
                             log=True, warn=False)
        u, v = (log[key] for key in keys)
        if scalings:
            with np.errstate(divide="ignore", invalid="ignore"):
                u, v = np.log(u), np.log(v)
        return Answer(*density(u, v, instance), log[count] + 1)

    return solve


def pot_lazy(instance: Instance) -> Solve:
    """What `ot.solve_sample(lazy=True)` calls, with blocks of 1,000 rows (its default is 100)."""
    import ot

    def solve(accuracy: float) -> Answer:
        u, v, log = ot.bregman.empirical_sinkhorn(
            instance.x, instance.y, instance.eps, instance.a, instance.a, numIterMax=UNBOUNDED,
            stopThr=accuracy, isLazy=True, batchSize=1_000, log=True, warn=False)
        return Answer(*density(u, v, instance), log["niter"] + 1)

    return solve


def pot_log_half(instance: Instance) -> Callable[[], Any]:
    """The line `v = logb - logsumexp(Mr + u[:, None], 0)` of `ot.bregman.sinkhorn_log`."""
    from ot.backend import NumpyBackend

    nx, Mr, u = NumpyBackend(), -instance.matrix / instance.eps, np.zeros(len(instance.x))
    log_b = np.log(instance.a)
    return lambda: log_b - nx.logsumexp(Mr + u[:, None], 0)


def pot_scaling_half(instance: Instance) -> Callable[[], Any]:
    """The line `u = a / (K v)` of `ot.bregman.sinkhorn_knopp`: a product, not safe for all eps."""
    K, v = np.exp(-instance.matrix / instance.eps), np.ones(len(instance.x))
    return lambda: instance.a / (K @ v)


def pots() -> list[Peer]:
    """The solvers of POT."""
    package = ("ot", "POT")
    log = partial(pot_sinkhorn, method="sinkhorn_log", keys=("log_u", "log_v"), scalings=False,
                  count="niter")
    scaling = partial(pot_sinkhorn, method="sinkhorn", keys=("u", "v"), scalings=True,
                      count="niter")
    stabilised = partial(pot_sinkhorn, method="sinkhorn_stabilized", keys=("logu", "logv"),
                         scalings=False, count="n_iter")
    return [Peer("pot-log", log, package, matrix=True, half=pot_log_half),
            Peer("pot-scaling", scaling, package, matrix=True, half=pot_scaling_half),
            Peer("pot-stabilized", stabilised, package, matrix=True),
            Peer("pot-lazy", pot_lazy, package)]


# ------------------------------------------------------------------ all of them
def known_peers() -> dict[str, Peer]:
    """Every peer that has an adapter, installed or not."""
    from . import peers_jax, peers_newton, peers_torch  # they stand on this file

    groups = (refots(), pots(), peers_jax.peers(), peers_torch.peers(), peers_newton.peers())
    return {peer.name: peer for group in groups for peer in group}


DEFAULT = ("refot-numpy", "pot-log", "pot-scaling", "pot-stabilized", "pot-lazy",
           "ott-lse", "ott-momentum", "ott-anderson", "geomloss-tensorized", "geomloss-online",
           "geomloss-multiscale", "regot-lbfgs", "regot-splr", "regot-ssns", "mdot-tnt",
           "flash-sinkhorn")
"""Compared with `refot` unless told, where they are installed."""


def find_peer(name: str) -> Peer:
    """A peer by its name, or `module:attribute`, a Peer of the user's. Raises UnknownNameError."""
    module, _, attribute = name.partition(":")
    if attribute:
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise UnknownNameError("peer", f"{name!r}", f"a module ({error})") from error
        if isinstance(found, Peer):
            return found
        raise UnknownNameError("peer", f"{name!r}", f"a Peer in {module}")
    known = known_peers()
    if name not in known:
        raise UnknownNameError("peer", f"{name!r}", "module:attribute, or " + ", ".join(known))
    return known[name]
