"""Proved bounds of W0, the exact cost (B-1): from potentials below, from a sparse plan above.

Both allow for rounding, and hold for whatever numbers they are given.
- Below, for any g: W0 >= (the semi-dual at g, at any eps, B-24) - eps log(min(n, m)). For the
  semi-dual is at most F, and F - W0 at most eps times the smaller entropy (`limits.bounds`). A tiny
  eps is taken, at which the semi-dual is nearly a.g^c + b.g, the dual of W0.
- Above, for any P >= 0: with t the mass that P misses, sum |a - P1| + sum |b - P'1|, there is a
  plan with the exact marginals that costs at most <C,P> + |min C| t + (max C - min C) t: scale P
  down to rows <= a and columns <= b, and add what is missing, at most t, as a product (Altschuler,
  Weed, Rigollet 2017). Scaling down saves at least min C for each unit of mass that it takes away.
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
"""eps of the lower bound, in units of the potentials. It may lower the bound by eps log n, which is
1e-10 of that; at a much smaller one the rounding of an exponent would be too large."""


class SparsePlan(NamedTuple):
    """Mass on some pairs; (k,) each."""

    rows: Array
    columns: Array
    mass: Floats


def lower_bound(given: Problem, f: Array, g: Array) -> float:
    """W0 is not below this, for any g (m,). f (n,) is about g^c: it only tells how large the costs
    are that count."""
    p, largest = in_float64(given), _largest(given)
    middle = float(g.mean())
    size = min(float(abs(f + middle).max() + abs(g - middle).max()), largest) or 1.0
    p = replace(p, eps=TINY_EPS * size)
    a, b = (p.backend.to_numpy(weights) for weights in (p.a, p.b))
    a, b = a / total(a), b / total(b)
    i, j = np.flatnonzero(a), np.flatnonzero(b)  # where there is mass
    G = np.where(b > 0, g, 0) + p.eps * log_weights(b)
    F = softmin(p, G) + p.eps * log_weights(a)
    sums, error = plan_sums(p, largest, F, G)
    a, b, F, G, sums = a[i], b[j], F[i], G[j], (sums[:, 0] + error)[i]
    terms = [-a * F, -b * G, p.eps * b * np.log(b), p.eps * a * np.log(sums)]
    bound = -rounded_up(terms, p.eps) - p.eps * math.log(min(p.C.shape))
    return max(bound, cost_range(p.C)[0]) - _forming_error(p)


def upper_bound(given: Problem, plan: SparsePlan) -> float:
    """W0 is not above this, for any P >= 0."""
    p = in_float64(given)
    least, most = cost_range(p.C)
    missing = sum(
        _missing(p.backend.to_numpy(weights), places, plan.mass)
        for weights, places in ((p.a, plan.rows), (p.b, plan.columns)))
    costs = plan.mass * p.backend.to_numpy(p.C.pairs(plan.rows, plan.columns))
    roundings = UNIT * (cost_roundings(p.C) + 8) * _largest(p)
    bound = (rounded_up([costs], 0.0) + roundings * (1 + missing) + _forming_error(p)
             + (1 + MARGIN) * missing * (most - least + abs(least)))
    return min(bound, most)


def _missing(weights: Array, places: Array, mass: Floats) -> float:
    """At least sum |weights - sums of the masses at their places|."""
    weights = weights / total(weights)
    sums = np.bincount(places, mass, len(weights))
    terms = np.bincount(places, minlength=len(weights))
    off = abs(weights - sums) + MARGIN * weights + (UNIT * terms + MARGIN) * sums
    return (1 + MARGIN) * total(off)


def _largest(p: Problem) -> float:
    """At least max |C|."""
    return max(map(abs, cost_range(p.C)))


def _forming_error(p: Problem) -> float:
    """What the entries of a matrix that was formed from points may be off by: W0 moves no more."""
    return p.C.error if isinstance(p.C, FormedCost) else 0.0
