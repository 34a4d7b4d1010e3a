"""Proved bounds of W0, the exact cost (B-1): a lower one from potentials, an upper one from a plan.

Both allow for rounding, and hold for any potentials and any plan P >= 0, however bad.
- Lower bound, for any g: W0 >= (the semi-dual B-24 at g, for any eps) - eps log(min(n, m)), because
  the semi-dual is at most the value F (B-10), and F - W0 is at most eps times the smaller entropy
  of a and b (`limits.bounds`). eps is chosen tiny; then the semi-dual is nearly a.g^c + b.g, where
  g^c_i = min_j (C_ij - g_j), and that is the dual of W0.
- Upper bound, for any P >= 0: let t = |P1 - a|_1 + |P'1 - b|_1. There is a plan with the exact
  marginals that costs at most <C,P> + |min C| t + (max C - min C) t (Altschuler, Weed, Rigollet
  2017): scale P down until its rows are <= a and its columns <= b, and add the missing mass, at
  most t, as a product measure. Scaling down saves at least min C for each unit of mass removed.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from refot.arrays import Array
from refot.costs.formed import FormedCost
from refot.problem import Problem, log_weights
from refot.solvers.gap import MARGIN, rounded_up, total
from refot.solvers.plan_sums import (
    UNIT,
    Floats,
    cost_range,
    cost_roundings,
    in_float64,
    plan_sums,
    softmin,
)

TINY_EPS = 2.0**-36
"""The eps of the lower bound, as a share of the size of the potentials. It lowers the bound by up
to eps log n, about 1e-10 of that size. With a much smaller eps, exponents (f + g - C) / eps would
be so large that their rounding would widen the interval more."""


class SparsePlan(NamedTuple):
    """A plan that is 0 except on k pairs: their rows, columns and masses, (k,) each."""

    rows: Array
    columns: Array
    mass: Floats


def lower_bound(given: Problem, f: Array, g: Array) -> float:
    """A lower bound of W0, in cost units, from any g (m,). f (n,) should be near g^c. It is used
    only to choose eps by the size of the potentials, and so cannot make the bound wrong."""
    p, largest = in_float64(given), _largest(given)
    middle = float(g.mean())
    size = min(float(abs(f + middle).max() + abs(g - middle).max()), largest) or 1.0
    p = replace(p, eps=TINY_EPS * size)
    a, b = (p.backend.to_numpy(weights) for weights in (p.a, p.b))
    a, b = a / total(a), b / total(b)
    i, j = np.flatnonzero(a), np.flatnonzero(b)  # the rows and columns with mass
    G = np.where(b > 0, g, 0) + p.eps * log_weights(b)
    F = softmin(p, G) + p.eps * log_weights(a)
    sums, error = plan_sums(p, largest, F, G)
    # The exact transform of g is F - eps log(sums) with the exact row sums, and g is G - eps log b.
    # So these are the terms of minus the semi-dual, with upper bounds in place of the exact sums.
    a, b, F, G, sums = a[i], b[j], F[i], G[j], (sums[:, 0] + error)[i]
    terms = [-a * F, -b * G, p.eps * b * np.log(b), p.eps * a * np.log(sums)]
    bound = -rounded_up(terms, p.eps) - p.eps * math.log(min(p.C.shape))
    return max(bound, cost_range(p.C)[0]) - _forming_error(p)


def upper_bound(given: Problem, plan: SparsePlan) -> float:
    """An upper bound of W0, in cost units, from any plan P >= 0."""
    p = in_float64(given)
    least, most = cost_range(p.C)
    missing = sum(
        _missing(p.backend.to_numpy(weights), places, plan.mass)
        for weights, places in ((p.a, plan.rows), (p.b, plan.columns)))
    costs = plan.mass * p.backend.to_numpy(p.C.pairs(plan.rows, plan.columns))
    # The error of a cost and of its product with a mass; the masses add up to at most 1 + missing.
    roundings = UNIT * (cost_roundings(p.C) + 8) * _largest(p)
    bound = (rounded_up([costs], 0.0) + roundings * (1 + missing) + _forming_error(p)
             + (1 + MARGIN) * missing * (most - least + abs(least)))
    return min(bound, most)


def _missing(weights: Array, places: Array, mass: Floats) -> float:
    """An upper bound of |weights - sums|_1, rounding included, where `sums` adds up the entries of
    `mass` (k,) at the rows, or columns, `places` (k,)."""
    weights = weights / total(weights)
    sums = np.bincount(places, mass, len(weights))
    terms = np.bincount(places, minlength=len(weights))
    off = abs(weights - sums) + MARGIN * weights + (UNIT * terms + MARGIN) * sums
    return (1 + MARGIN) * total(off)


def _largest(p: Problem) -> float:
    """A number >= max |C|."""
    return max(map(abs, cost_range(p.C)))


def _forming_error(p: Problem) -> float:
    """A bound of the error of each entry of a matrix that was formed from points: W0 of that matrix
    is no farther than this from W0 of the points. 0 for a matrix that the caller gave."""
    return p.C.error if isinstance(p.C, FormedCost) else 0.0
