"""Random problems that are hard for a certificate in floats, checked by ball arithmetic.

Each problem is drawn from its own seed. Costs, a matrix or between points, have both signs, ties,
offsets or a few huge entries. Weights are even, uneven, down to 1e-300, or 0. eps is 1e-9 to 1e9 of
max|C|. Numbers are float64 or float32. The potential is from any method of `solve`, stopped at any
step, or a random one. `python tests/support/certificate_attack.py FIRST LAST` checks the seeds
from FIRST to LAST - 1, and prints failures and counts."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb, ctx
from point_costs.tables import costs_known_to

import refot
from refot.arrays import InputError
from refot.backends.numba.groups.ordered import sorted_cost
from refot.costs.ground import POINT_COSTS
from refot.costs.operands import Cost, PointCost, as_cost
from refot.solvers import METHODS
from refot.solvers.gap import certified_gap
from refot.verification.certificates.certify import certify
from refot.verification.certificates.intervals import Interval
from refot.verification.enclosures.enclose import interval
from refot.verification.enclosures.newton import annealed, half_step, newton
from refot.verification.enclosures.problem import cost_matrix, exact_inputs, on_support
from refot.verification.enclosures.proofs import transport_cost, value

BITS = 256
"""The working precision of the balls, in bits; doubled if the intervals are too wide."""


ATTACKED = [name for name in POINT_COSTS if name in {*costs_known_to("numba", "balls"), "dot"}]
"""The costs between points that `exact_costs` can compute. Their order is fixed: seeds depend on
it.
"""


@dataclass(frozen=True)
class Attack:
    """A problem, and the potential g that a certificate is to be made from."""

    C: Cost
    a: Any
    b: Any
    eps: float
    g: Any
    backend: str
    kind: str


def attack(seed: int, backends: tuple[str, ...] = ("numpy", "numba")) -> Attack:
    """The problem of this seed."""
    rng = np.random.default_rng(seed)
    n, m = (int(k) for k in rng.integers(1, 9, size=2))
    single = rng.random() < 0.25
    cost_kind, C = _cost(rng, n, m, single)
    weights_kind, a, b = "", *(_weights(rng, k, single) for k in (n, m))
    largest = float(abs(C.dense().astype(float)).max()) or 1.0
    eps = largest * 10 ** rng.uniform(-9, 9)
    if single:
        C = C.with_arrays(lambda array: array.astype(np.float32))
        a, b = (w.astype(np.float32) for w in (a, b))
    backend = str(rng.choice(backends))
    potential_kind, g = _potential(rng, C, a, b, eps, largest, backend)
    kind = f"{cost_kind} {potential_kind}{' float32' if single else ''}{weights_kind}"
    return Attack(C, a, b, eps, g, backend, kind)


def _cost(rng: np.random.Generator, n: int, m: int, single: bool) -> tuple[str, Cost]:
    kind = str(rng.choice(["uniform", "negative", "normal", "ties", "offset", "sentinel",
                           "points"]))
    scale = 10 ** (rng.uniform(-8, 8) if rng.random() < 0.5 else 0.0)
    if kind == "points":
        d, name = int(rng.choice([1, 2, 3, 5, 70])), str(rng.choice(ATTACKED))
        x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + rng.choice([0.0, 1.0, 100.0])
        C = refot.point_cost(x, y, name, 1.0 if single else scale)
        if name != "dot" and rng.random() < 0.3:
            return f"sorted-{name}", sorted_cost(C)
        return f"points-{name}", C
    C = {"uniform": lambda: rng.random((n, m)),
         "negative": lambda: -10 * rng.random((n, m)),
         "normal": lambda: rng.normal(size=(n, m)),
         "ties": lambda: rng.integers(-2, 3, size=(n, m)).astype(float),
         "offset": lambda: rng.random((n, m)) + rng.choice([-1, 1]) * 10 ** rng.uniform(1, 8),
         "sentinel": lambda: rng.random((n, m))}[kind]()
    if kind == "sentinel":
        height = 10 ** rng.uniform(3, 30 if single else (300 if rng.random() < 0.3 else 15))
        C[rng.random((n, m)) < 0.3] = height * rng.choice([1, 1, 1, -1])
        scale = 1.0
    return kind, as_cost(scale * C)


def _weights(rng: np.random.Generator, n: int, single: bool) -> Any:
    kind = rng.integers(5)
    if kind == 0:
        w = np.full(n, 1.0)
    elif kind == 1:
        w = rng.gamma(10 ** rng.uniform(-1.3, 1), size=n) + 1e-300
    elif kind == 2:
        w = np.exp(rng.uniform(0, 5) * rng.normal(size=n))
    else:  # some atoms are light
        w = rng.random(n) + 0.1
        light = rng.random(n) < 0.5
        light[rng.integers(n)] = False
        w[light] *= 10 ** rng.uniform(-30 if single else (-300 if kind == 4 else -15), -3)
    if rng.random() < 0.1 and n > 1:
        w[rng.integers(n)] = 0
    w = np.maximum(w, 1e-36) * (w > 0) if single else w
    return w / w.sum()


def _potential(rng: np.random.Generator, C: Cost, a: Any, b: Any, eps: float, largest: float,
               backend: str) -> tuple[str, Any]:
    m = C.shape[1]
    if rng.random() < 0.1:
        return "nowhere", rng.normal(size=m) * largest * 10 ** rng.uniform(-6, 2)
    float64_only = {"newton", "mixed"} if C.dtype.itemsize == 4 else set()
    method = str(rng.choice([name for name in METHODS if name not in float64_only]))
    most, tol = int(rng.choice([1, 2, 3, 5, 10, 50])), float(rng.choice([1e-3, 1e-9, 1e-14]))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            g = refot.solve(C, a, b, eps, method=method, max_iter=most, tol=tol, backend=backend).g
    except InputError:  # costs whose range is beyond the floats
        return "refused", np.zeros(m, C.dtype)
    return method, np.where(np.isfinite(g), g, 0).astype(C.dtype)


# ------------------------------------------------------------------ the right values, in balls
def exact_costs(C: Cost) -> list[list[arb]]:
    """The exact costs (n, m), as balls of the working precision."""
    if not (isinstance(C, PointCost) and C.ground.name == "dot"):
        return cost_matrix(C)
    x, y = ([[arb(float(t)) for t in point] for point in points] for points in (C.x, C.y))
    return [[-arb(C.scale) * sum((s * t for s, t in zip(u, v, strict=True)), arb(0)) for v in y]
            for u in x]


def judged(case: Attack, width: float) -> Interval:
    """An interval, from ball arithmetic, that contains F; narrower than `width` if possible."""
    return judged_values(case, width)[0]


def judged_values(case: Attack, width: float, bits: int = BITS) -> tuple[Interval, Interval]:
    """Intervals, from ball arithmetic, that contain F and s. The potential is improved in balls, at
    more and more bits, until the interval of F is narrower than `width` or than floats resolve."""
    with ctx.workprec(bits):
        exact = exact_inputs(np.zeros(case.C.shape), case.a, case.b, case.eps)
        p = on_support(exact, exact_costs(case.C))
        g = [arb(float(t)) for t, w in zip(case.g, case.b, strict=True) if w > 0]
        h = half_step(p, newton(p, g, 0.0))
        if not _narrow(value(p, h), width):
            h = half_step(p, annealed(p))
        F = value(p, h)
        if _narrow(F, width) or bits >= 4 * BITS:
            return interval(F), interval(transport_cost(p, h))
    return judged_values(case, width, 2 * bits)


def _narrow(F: arb, width: float) -> bool:
    """Whether the ball F is narrower than `width`, or than floats resolve."""
    return bool(F.is_finite() and (2 * F.rad() <= width or F.rad() <= 2.0**-60 * abs(F.mid())))


def misses(case: Attack) -> tuple[list[str], dict[str, bool]]:
    """For each of the gap in floats, and of F and s by `certify`: (those whose interval does not
    meet the right one, in words; whether the right one was much narrower)."""
    gap = certified_gap(case.g, case.C, case.a, case.b, case.eps, backend=case.backend)
    balls = certify(case.C, case.a, case.b, case.eps, case.g)
    F, s = judged_values(case, 1e-3 * min(gap.absolute, balls.value.width))
    pairs = {"gap": (Interval(gap.lower, gap.upper), F), "F": (balls.value, F),
             "s": (balls.transport_cost, s)}
    missed = [f"{name}: {found}, in balls {judge}" for name, (found, judge) in pairs.items()
              if not (found.lower <= judge.upper and judge.lower <= found.upper)]
    return missed, {name: judge.width <= 1e-3 * found.width + 2.0**-50 * abs(judge.midpoint)
                    for name, (found, judge) in pairs.items()}


def main(first: int, last: int) -> None:
    """Check the seeds from `first` to `last` - 1; print each miss, and counts at the end."""
    counts: Counter[str] = Counter()
    for seed in range(first, last):
        case = attack(seed)
        counts["problems"] += 1
        try:
            missed, sharp = misses(case)
        except InputError:  # costs or an eps beyond the range of float32
            counts["refused"] += 1
            continue
        counts["misses"] += bool(missed)
        counts.update(f"{name} against a sharp judge" for name in sharp if sharp[name])
        for miss in missed:
            print("MISS", seed, case.kind, case.backend, case.C.shape, case.eps, miss, flush=True)
    print(dict(counts), flush=True)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
