"""Which pairs an optimal plan may use: those of an entropic plan, and those that lower the cost.

In the problems that are passed to this file all atoms have mass. f and g are potentials, and the
excess of a pair is f_i + g_j - C_ij: where it is > 0, the pair would lower the cost. Results are
NumPy arrays.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from refot.arrays import Array, namespace
from refot.costs.forbidden import on_host
from refot.costs.operands import row_blocks
from refot.problem import Problem
from refot.solvers.auto import auto
from refot.solvers.schedule import cost_scale
from refot.solvers.stopping import out_of_time

FIRST_EPS, LAST_EPS, FALL = 1e-3, 1e-6, 3.0
"""The values of eps that are tried, as shares of the range of the costs: FIRST_EPS, then each the
last divided by FALL, down to about LAST_EPS. The first one at which the shortlist has at most LONG
pairs per atom is used."""

ROUGH, ENOUGH = 0.1, 300
"""ROUGH is the marginal error at which the entropic plan is good enough, and ENOUGH the most
iterations that are spent on it. Pairs that a rough plan misses are found later by
`saving_pairs`."""

SHARE = 1e-3
"""The share of the mass of its row above which a pair of the entropic plan is listed."""

LONG = 100
"""The largest number of pairs on the shortlist, per atom."""

ROUNDING = 1e-12
"""The excess, as a share of `unit` in `saving_pairs`, up to which a pair counts as not lowering the
cost."""


class Pairs(NamedTuple):
    """Rows and columns of some pairs, (k,) each."""

    rows: Array
    columns: Array


def entropic_shortlist(p: Problem) -> tuple[Pairs, Array, Array]:
    """(the pairs with most of the mass of an entropic plan at small eps, its potentials f (n,) and
    g (m,)).

    eps falls until there are few enough pairs. At the smallest eps, or when the time is over, the
    share of its row that a pair must have is raised instead.
    """
    scale, most = cost_scale(p) or 1.0, LONG * sum(p.C.shape)
    eps, share, g = FIRST_EPS * scale, SHARE, namespace(p.b).zeros_like(p.b)
    while True:
        at_eps = replace(p, eps=eps)
        f, g = _rough_potentials(at_eps, g)
        listed = _large_entries(at_eps, f, g, share, most)
        if listed is not None:
            return listed, *map(on_host, (f, g))
        if eps > FALL * LAST_EPS * scale and not out_of_time():
            eps /= FALL
        else:
            share *= FALL


def _rough_potentials(p: Problem, g: Array) -> tuple[Array, Array]:
    """(f, g) after as many iterations from g as bring the marginal error below ROUGH, at most
    ENOUGH."""
    with np.errstate(all="ignore"):  # an overflow makes the error infinite, and iteration goes on
        for _, g_next, error in itertools.islice(auto(p, g), ENOUGH):
            g = g_next
            if error < ROUGH or out_of_time():
                break
        return p.transform(g), g


def _large_entries(p: Problem, f: Array, g: Array, share: float, most: int) -> Pairs | None:
    """The pairs with more than this share of the mass of their row; None if more than `most`."""
    # With f itself in place of F = f + eps log a, the entries are P_ij / a_i.
    entries = p.backend.plan_entries(p.C, f, p.G(g), p.eps, share, most)
    return None if entries is None else _pairs(entries[1], entries[2])


def _pairs(columns: Array, starts: Array) -> Pairs:
    """The pairs of a sparse matrix that is stored by rows (backend_contract.Entries)."""
    columns, starts = on_host(columns), on_host(starts)
    return Pairs(np.repeat(np.arange(len(starts) - 1), np.diff(starts)), columns.astype(np.int64))


def corner_pairs(p: Problem) -> Pairs:
    """At most n + m - 1 pairs on which some plan exists: each row in turn fills the next columns
    that are not yet full (the north-west corner rule)."""
    ends_a, ends_b = (np.cumsum(on_host(weights)) for weights in (p.a, p.b))
    starts = np.concatenate([[0.0], np.sort(np.concatenate([ends_a, ends_b]))[:-1]])
    n, m = p.C.shape
    return Pairs(np.minimum(np.searchsorted(ends_a, starts, side="right"), n - 1),
                 np.minimum(np.searchsorted(ends_b, starts, side="right"), m - 1))


def saving_pairs(p: Problem, f: Array, g: Array, unit: float) -> tuple[Pairs | None, Array]:
    """(the pairs with excess > 0, the largest excess of each row (n,), 0 where there is none).

    The excess is in cost units, and so is `unit`, which is about the largest excess that can occur.
    If there are more than LONG pairs per atom, the pairs are None and the excesses inf.
    """
    n, m = p.C.shape
    on = p.backend
    # With eps = unit the entries are exp(excess / unit): more than 1 where the excess is > 0.
    entries = on.plan_entries(p.C, on.asarray(f), on.asarray(g), unit, 1 + ROUNDING, LONG * (n + m))
    if entries is None:
        return None, np.full(n, np.inf)
    values, excess = on_host(entries[0]), np.zeros(n)
    found = _pairs(entries[1], entries[2])
    np.maximum.at(excess, found.rows, unit * np.log(values))
    return found, excess


def best_pairs(p: Problem, f: Array, g: Array) -> Pairs:
    """The pair with the largest excess in each row, and that in each column: n + m pairs."""
    n, m = p.C.shape
    row, column = np.arange(n), np.arange(m)
    return Pairs(np.concatenate([row, _best(p.T, g, f)]), np.concatenate([_best(p, f, g), column]))


def _best(p: Problem, f: Array, g: Array) -> Array:
    """argmax_j g_j - C_ij, (n,)."""
    return np.concatenate([(g - on_host(p.C.rows(rows))).argmax(axis=1)
                           for rows in row_blocks(p.C)])
