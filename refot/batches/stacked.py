"""The sweeps of many problems in whole arrays: the readable form of what a `BatchSolver` compiles.

Problems of one size are a stack: K (B, n, m), K_ij = exp((min C - C_ij) / eps), formed once. An
iteration of G-7 with the scalings u = exp((f - min C) / eps), v = exp(g / eps) is two products,

    r_i = sum_j K_ij b_j v_j,    c_j = sum_i a_i u_i K_ij,

after which u is set to 1 / r, and v to 1 / c. An over-relaxed step goes further, by a factor w in
log u, and leaves u_i r_i near 1. A problem leaves the stack when it arrives, which means that it
reaches the tolerance; or when a scaling is too large (LARGEST), or the error has stopped falling
(PATIENCE). Where eps is so small that K would underflow, no sweep is made. B = Bréchet et al. 2019,
G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import SweptBatch
from refot.costs.forbidden import on_host

DIRECT = 200.0
"""K is formed up to this (max C - min C) / eps: then no entry is below 1e-87."""

LARGEST = 1e90
"""A problem is swept no more once a scaling is above this, or below 1 / this."""

ENTRIES = 1 << 18
"""Entries of the stack that is swept at a time: as many as the cache of a processor holds."""

WINDOW = 4
"""The rate at which errors fall is measured over this number of sweeps, once twice as many have
passed since the last change of the relaxation w."""

HISTORY = 2 * WINDOW
"""The errors of this number of sweeps, the latest ones, are kept."""

EARLY, FAST = 2, 0.5
"""At first, while w is 1, the last EARLY sweeps tell the rate once 2 EARLY have passed, if it is
below FAST: such a problem has arrived before WINDOW sweeps could tell. Where a problem is slow, the
first errors fall faster than later ones."""

MOST_RELAXED = 1.99
"""The largest relaxation w."""

LOWER_AFTER, LOWERED = 24, 0.7
"""After this number of sweeps with a w above the best one, w - 1 is multiplied by this factor; the
next time after twice as many sweeps."""

NEAR = 0.25
"""A step is over-relaxed only where the plain step changes a scaling by at most this part."""

PATIENCE = 100
"""A problem is swept no more when its error has not halved in this number of sweeps."""


@np.errstate(all="ignore")  # what is not finite shows in the errors
def solve_stacks(
    xp: ModuleType, C: Array, sizes: Array, a: Array, b: Array, eps: Array, g: Array, tol: float,
    atoms: float, most: int,
) -> SweptBatch:
    """`BatchSolver.solve_batch`, computed with the array library `xp`: NumPy or CuPy."""
    f, g = xp.zeros(len(a), C.dtype), g.astype(C.dtype, copy=True)
    iterations, arrived = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), bool)
    found = np.full((len(sizes), 3), np.nan)
    for chosen in _stacks(sizes):
        n, m = (int(size) for size in sizes[chosen[0], :2])
        places = [xp.asarray(sizes[chosen, column])[:, None] + xp.arange(length)
                  for column, length in ((2, n * m), (3, n), (4, m))]
        stack = Stack(C[places[0]].reshape(-1, n, m).astype(np.float64), a[places[1]], b[places[2]],
                      xp.asarray(eps[chosen])[:, None], xp)
        u, v, iterations[chosen], arrived[chosen] = stack.swept(g[places[2]], tol, atoms, most)
        swept = xp.asarray(iterations[chosen] > 0)[:, None]
        f[places[1]] = (stack.least + stack.eps * xp.log(u)).astype(C.dtype)
        g[places[2]] = xp.where(swept, stack.eps * xp.log(v), g[places[2]]).astype(C.dtype)
        found[chosen] = stack.reached(f[places[1]], g[places[2]])
    return f, g, iterations, arrived, found


def _stacks(sizes: Array) -> list[Array]:
    """The numbers of the problems, in groups of one shape (n, m) and at most ENTRIES entries of
    K."""
    shapes, group = np.unique(sizes[:, :2], axis=0, return_inverse=True)
    stacks = []
    for k, (n, m) in enumerate(shapes):
        members = np.flatnonzero(group.ravel() == k)
        step = max(1, ENTRIES // int(n * m))
        stacks += [members[start:start + step] for start in range(0, len(members), step)]
    return stacks


@dataclass(frozen=True)
class Stack:
    """Problems of one shape: C (B, n, m), a (B, n), b (B, m), eps (B, 1), in float64."""

    C: Array
    a: Array
    b: Array
    eps: Array
    xp: ModuleType

    @property
    def least(self) -> Array:
        """min C of each problem, (B, 1)."""
        return self.C.min(axis=(1, 2))[:, None]

    def swept(self, g: Array, tol: float, atoms: float, most: int) -> tuple[Any, ...]:
        """u (B, n), v (B, m), and on the host the number of sweeps of each problem and whether it
        has arrived. `tol` and `atoms` bound the marginal and the atom error."""
        xp, number = self.xp, len(self.C)
        u, v = xp.ones_like(self.a), xp.ones_like(self.b)
        iterations, arrived = np.zeros(number, np.int64), np.zeros(number, bool)
        far = (self.C.max(axis=(1, 2))[:, None] - self.least) / self.eps
        usable = (far < DIRECT) & (abs(g).max(axis=1)[:, None] < DIRECT / 2 * self.eps)
        now = np.flatnonzero(on_host(usable)[:, 0])
        if len(now) == 0:
            return u, v, iterations, arrived
        at = xp.asarray(now)
        K = xp.exp((self.least[at, :, None] - self.C[at]) / self.eps[at, :, None])
        sweeps = Sweeps(K, self.a[at], self.b[at], u[at], xp.exp(g[at] / self.eps[at]), xp)
        for _ in range(most):
            error, atom, largest = sweeps.rows()
            there, lost = (error <= tol) & (atom <= atoms), ~(largest < LARGEST)
            ended = there | lost | sweeps.stalled
            iterations[now] += 1
            arrived[now] = there & ~lost
            if ended.any():
                at = xp.asarray(now)
                u[at], v[at] = sweeps.u, sweeps.v
                now = now[~ended]
                if len(now) == 0:
                    break
                sweeps.keep(~ended)
            sweeps.columns()
        else:
            at = xp.asarray(now)
            u[at], v[at] = sweeps.u, sweeps.v
        return u, v, iterations, arrived

    def reached(self, f: Array, g: Array) -> Array:
        """(B, 3), on the host: marginal error, atom error and semi-dual (B-24) at the potentials.

        With e = exp((f + g - C) / eps), r = e b and c = e'a are the sums of the plan's rows and
        columns divided by their weights, and f - eps log r is the transform of g.
        """
        xp = self.xp
        e = xp.exp((f[:, :, None] + g[:, None, :] - self.C) / self.eps[:, :, None])
        r, c = (e * self.b[:, None, :]).sum(axis=2), (e * self.a[:, :, None]).sum(axis=1)
        error = (self.a * abs(r - 1)).sum(axis=1) + (self.b * abs(c - 1)).sum(axis=1)
        atom = xp.maximum(abs(xp.log(r)).max(axis=1), abs(xp.log(c)).max(axis=1))
        value = (self.a * (f - self.eps * xp.log(r))).sum(axis=1) + (self.b * g).sum(axis=1)
        return on_host(xp.stack([error, atom, value], axis=1))


class Sweeps:
    """Over-relaxed sweeps of a stack from which problems are removed as they end. The relaxation
    `w` and what is noted of the errors are arrays with an entry for each problem that is left."""

    def __init__(self, K: Array, a: Array, b: Array, u: Array, v: Array, xp: ModuleType) -> None:
        self.K, self.a, self.b, self.u, self.v, self.xp = K, a, b, u, v, xp
        number = len(K)
        self.w, self.since = np.ones(number), np.zeros(number, np.int64)
        self.patience = np.full(number, LOWER_AFTER)
        self.halved, self.halved_at = np.full(number, np.inf), np.zeros(number, np.int64)
        self.errors, self.done = np.empty((number, HISTORY)), 0
        self.sums: Array

    def rows(self) -> tuple[Array, Array, Array]:
        """Move u. Returns for each problem, on the host: the L1 marginal error, the largest
        relative error of a row or column sum, and the largest scaling or inverse of one."""
        xp = self.xp
        r = xp.matmul(self.K, (self.b * self.v)[:, :, None])[:, :, 0]
        self.u, row_miss = self._moved(self.u, r)
        self.sums = xp.matmul((self.a * self.u)[:, None, :], self.K)[:, 0]
        column_miss = abs(self.v * self.sums - 1)
        error = (self.a * row_miss).sum(axis=1) + (self.b * column_miss).sum(axis=1)
        atom = xp.maximum(row_miss.max(axis=1), column_miss.max(axis=1))
        largest = xp.maximum(*(xp.maximum(z.max(axis=1), 1 / z.min(axis=1))
                               for z in (self.u, self.v)))
        told = on_host(xp.stack([error, atom, largest]))
        self._note(told[0])
        return told[0], told[1], told[2]

    def columns(self) -> None:
        """Move v; and change w where the last errors give a better one."""
        self.v, _ = self._moved(self.v, self.sums)
        self._relax()

    def keep(self, kept: Array) -> None:
        """Remove all problems but those where `kept` (B,) is true."""
        at = self.xp.asarray(np.flatnonzero(kept))
        for name in ("K", "a", "b", "u", "v", "sums"):
            setattr(self, name, getattr(self, name)[at])
        for name in ("w", "since", "patience", "halved", "halved_at", "errors"):
            setattr(self, name, getattr(self, name)[kept])

    @property
    def stalled(self) -> Array:
        """The problems whose error has not halved in PATIENCE sweeps, (B,)."""
        return self.done - self.halved_at > PATIENCE

    def _moved(self, u: Array, r: Array) -> tuple[Array, Array]:
        """(the new u, how far u r is from 1 with it). The new u is u q^w with q = 1 / (u r), where
        q^w is computed to second order in q - 1. Where |q - 1| is above `near_for(w)`, it is u q,
        Sinkhorn's own step."""
        xp = self.xp
        w, near = (xp.asarray(z)[:, None] for z in (self.w, near_for(self.w)))
        product = u * r
        x = 1 / product - 1
        t = xp.where(abs(x) <= near, 1 + w * x * (1 + (w - 1) * x / 2), 1 + x)
        return u * t, abs(t * product - 1)

    def _note(self, error: Array) -> None:
        """Keep the error of each problem after a sweep, and when it last fell to a half."""
        self.errors[:, self.done % HISTORY] = error
        falls = error <= self.halved / 2
        self.halved = np.where(falls, error, self.halved)
        self.halved_at = np.where(falls, self.done, self.halved_at)
        self.done += 1

    def _relax(self) -> None:
        """Set w anew after every WINDOW sweeps, but not before twice as many have passed since it
        last changed."""
        now = self.done - 1
        seen = now - self.since
        early = (self.since == 0) & (seen == 2 * EARLY)
        due = early | ((seen >= 2 * WINDOW) & (seen % WINDOW == 0))
        if not due.any():
            return
        window = np.where(early, EARLY, WINDOW)
        before = self.errors[np.arange(len(window)), (now - window) % HISTORY]
        rate = (self.errors[:, now % HISTORY] / before) ** (1 / window)
        w = next_relaxation(rate, self.w, seen >= self.patience)
        w = np.where(due & (~early | (rate < FAST)), w, self.w)
        self.patience = np.where(w < self.w, 2 * self.patience, self.patience)
        self.since = np.where(w != self.w, now, self.since)
        self.w = w


def near_for(w: Array) -> Array:
    """The largest |q - 1| at which a step is over-relaxed by w. With d = log q and s = w - 1, such
    a step raises the dual by a weight times (1 - s^2) d^2 / 2 - (1 + s^3) d^3 / 6 + ..., which is
    positive up to there."""
    s = w - 1
    return np.minimum(NEAR, 1.2 * (1 - s**2) / (1 + s**3))


def next_relaxation(rate: Array, w: Array, impatient: Array) -> Array:
    """The best w for the rate of the errors, or the present w where the rate gives none. By
    young1971iterative (rate + w - 1)^2 = rate w^2 theta, and the best w is 2 / (1 + sqrt(1 -
    theta)).

    A rate of at most w - 1 shows that w is above the best one, but not by how much. Where a problem
    is `impatient`, because that has lasted, w is lowered until the rate can be used again.
    """
    theta = ((rate + w - 1) / w) ** 2 / rate
    best = np.minimum(2 / (1 + np.sqrt(1 - theta)), MOST_RELAXED)
    beyond = (rate <= w - 1) | ~(rate < 1)
    raised = np.where(theta < 1, np.maximum(w, best), w)
    return np.where(beyond, np.where(impatient, 1 + LOWERED * (w - 1), w), raised)
