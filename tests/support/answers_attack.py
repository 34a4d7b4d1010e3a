"""Random problems on which an answer might be wrong without a warning, checked by ball arithmetic.

Each problem is drawn from its own seed: uneven weights down to 1e-300 and to 0, a few huge costs,
offsets, costs and weights in float64 and float32 mixed, any method, any backend. An answer is right
if it lies in its 30-digit enclosure widened by the bound that refot states. Otherwise the call must
have warned, or have refused the input. `python answers_attack.py FIRST LAST` checks the seeds from
FIRST to LAST - 1, and prints failures and counts.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from flint import arb
from solver_problems import uneven_weights

import refot
from refot.arrays import ConvergenceWarning, InputError, marginal_tolerance
from refot.solvers import METHODS
from refot.solvers.answers.solutions import to_first_order
from refot.verification.certificates import rounding_bounds
from refot.verification.certificates.certify import certify
from refot.verification.certificates.rounding_bounds import rounding_bound
from refot.verification.certificates.roundings import roundings
from refot.verification.enclosures.enclose import (
    Enclosure,
    EnclosureError,
    enclose,
    enclose_divergence,
    enclose_values,
    interval,
)
from refot.verification.enclosures.gradients import enclose_divergence_gradient

SINGLE = 2.0**29
"""The unit roundoff of float32 divided by that of float64."""


@dataclass(frozen=True)
class Drawn:
    """A problem with the cost matrix C; x and y are its points, or None if it has none."""

    C: Any
    x: Any
    y: Any
    a: Any
    b: Any
    eps: float
    method: str
    backend: str

    @property
    def single(self) -> bool:
        return bool(self.C.dtype == np.float32)


def drawn(seed: int) -> Drawn:
    """The problem of this seed."""
    rng = np.random.default_rng(seed)
    n, m = (int(k) for k in rng.integers(1, 8, size=2))
    a, b = uneven_weights(n, rng), uneven_weights(m, rng)
    x = y = None
    if rng.random() < 0.4:
        d = int(rng.integers(1, 4))
        x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + rng.choice([0, 1, 100])
        C = refot.point_cost(x, y).dense()
    else:
        C = rng.random((n, m)) * rng.choice([1, -10]) + rng.choice([0, 0, 1e4])
        if rng.random() < 0.4:  # pairs that a caller forbids by a huge cost
            C[rng.random((n, m)) < 0.25] = 10 ** rng.uniform(3, 300)
    ordinary = C[abs(C) < 1e3] if (abs(C) < 1e3).any() else C
    eps = float((np.ptp(ordinary) or 1.0) * 10 ** rng.uniform(-4, 1))
    if rng.random() < 0.3 and abs(C).max() < 1e30:
        C = C.astype(np.float32)
        x, y = (None, None) if x is None else (x.astype(np.float32), y.astype(np.float32))
    if rng.random() < 0.3:
        a, b = (np.maximum(w, 1e-37 * (w > 0)).astype(np.float32) for w in (a, b))
    return Drawn(C, x, y, a, b, eps, str(rng.choice(sorted(METHODS))),
                 str(rng.choice(["numpy", "numba"])))


def asked(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, str]:
    """(the answer, ""), or (None, "refused" or "said so") if the call refused the input or warned:
    then the answer need not be right."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            answer = function(*arguments, **options)
        except InputError:
            return None, "refused"
    said = any(issubclass(warning.category, ConvergenceWarning) for warning in seen)
    return (None, "said so") if said else (answer, "")


def missed(measured: Any, balls: Any, bound: Any) -> bool:
    """Whether any entry lies outside its enclosure by more than the bound; NaN does."""
    ends = [interval(ball) for ball in balls]
    low, high = np.array([end.lower for end in ends]), np.array([end.upper for end in ends])
    measured = np.asarray(measured, np.float64).ravel()
    return not bool((measured >= low - bound).all() and (measured <= high + bound).all())


Found = TypeVar("Found")


def verdict(answer: Any, balls: Any, bound: Callable[[], Any]) -> str:
    return "missed" if missed(answer, balls, bound()) else "right"


Verdicts = Iterator[tuple[str, str]]
"""(name of the quantity, "right" | "refused" | "said so" | "missed")."""


def verdicts(case: Drawn) -> Verdicts:
    """The verdicts on all quantities of the problem."""
    # `meant` is the problem that refot solves: weights normalised in the dtype of the cost
    a, b = (normalised(w, case.C.dtype) for w in (case.a, case.b))
    meant = np.asarray(case.C, np.float64), a, b, case.eps
    true: Enclosure | None = None
    try:
        true = enclosed(enclose, meant, lambda found: (found.value, found.transport_cost))
        F, s = true.value, true.transport_cost
    except EnclosureError:
        try:
            F, s = enclosed(enclose_values, meant, lambda found: found)
        except EnclosureError:
            yield "enclosure", "refused"
            return
    yield from value_verdicts(case, meant, F, s)
    if true is not None:
        yield from potential_verdicts(case, meant, true)
    if case.x is not None and not case.single:
        yield from divergence_verdicts(case, a, b)


def enclosed(function: Callable[..., Found], meant: Any, values: Callable[[Found], Any]) -> Found:
    """The enclosure that `function` makes, with F and s to 20 digits, relative to themselves or to
    eps. The `digits` of an enclosure are relative to the largest cost, which may be 1e300; so more
    may be needed."""
    C, eps = meant[0], meant[3]
    for digits in (30, 30 + math.ceil(math.log10(max(1.0, abs(C).max(), abs(C).max() / eps)))):
        found = function(*meant, digits=digits)
        if all(t.rad() <= 1e-20 * (abs(t.mid()) + eps) for t in values(found)):
            return found
    raise EnclosureError("F and s come to fewer digits than were asked for")


def value_verdicts(case: Drawn, meant: Any, F: arb, s: arb) -> Verdicts:
    """The verdicts on the entropic value F and the transport cost s."""
    units = SINGLE if case.single else 1.0
    for name, function, ball in (("value", refot.entropic_value, F),
                                 ("transport_cost", refot.sharp_value, s)):
        answer, why = asked(function, case.C, case.a, case.b, case.eps, backend=case.backend)
        yield name, why or verdict(answer, [ball], lambda: (
            units * rounding_bound(name, *meant) + left_in_single(case, name, meant)))  # noqa: B023


def left_in_single(case: Drawn, name: str, meant: Any) -> float:
    """The additional error of a solve in float32, which stops at a larger marginal error; 0 in
    float64."""
    if not case.single:
        return 0.0
    C, a, b, eps = meant
    floor = rounding_bounds._floor(*meant)
    stopped = floor.stopped(marginal_tolerance(np.float32))
    if name == "value":
        return stopped.value(floor.g[b > 0], eps)
    costs = C[np.ix_(a > 0, b > 0)]
    return stopped.transport_cost(costs - costs.min())


def potential_verdicts(case: Drawn, meant: Any, true: Enclosure) -> Verdicts:
    """The verdicts on the potentials of the method that was drawn, and on quantities that refot
    solves to the last digits that floats allow (the floor)."""
    C, eps = meant[0], case.eps
    answer, why = asked(refot.solve, case.C, case.a, case.b, eps, method=case.method,
                        backend=case.backend)
    if why:
        yield "potentials", why
    else:
        f, g = (np.asarray(side, np.float64) for side in (answer.f, answer.g))
        # `certify` bounds the errors of g and of its transform, `atom_error` that of f against it.
        error = certify(*meant, g).potential_error + answer.atom_error * eps
        units = SINGLE if case.single else 1.0
        bound = 2 * error + units * roundings(np.append(C[abs(C) < 1e30], 0), f, g, eps)
        yield "potentials", verdict(np.append(f + g[-1], g - g[-1]), true.f + true.g, lambda: bound)
    if not case.single:
        yield from verdicts_at_the_floor(case, meant, true)


def verdicts_at_the_floor(case: Drawn, meant: Any, true: Enclosure) -> Verdicts:
    """The verdicts on the plan, and on the gradient of F in the weights, which is f up to a
    constant."""
    def plan(C: Any, a: Any, b: Any, eps: float) -> Any:
        at = to_first_order(refot.problem.problem(C, a, b, eps, case.backend), None)
        return refot.plan(at.f, at.g, C, a, b, eps, backend=case.backend)

    given = case.C, case.a, case.b, case.eps
    answer, why = asked(plan, *given)
    yield "plan", why or verdict(
        answer, [entry for row in true.plan for entry in row],
        lambda: rounding_bound("plan", *meant).ravel() + np.finfo(np.float64).tiny)
    answer, why = asked(refot.entropic_value_gradient_weights, *given, backend=case.backend)
    first, *others = np.flatnonzero(case.a)
    yield "weight gradient", why or verdict(
        answer[others] - answer[first], [true.f[k] - true.f[first] for k in others],
        lambda: rounding_bound("potentials", *meant))


def divergence_verdicts(case: Drawn, a: Any, b: Any) -> Verdicts:
    """The verdicts on the Sinkhorn divergence S and its gradient."""
    clouds = case.x, a, case.y, b, case.eps
    for name, function, balls in (
            ("divergence", refot.sinkhorn_divergence, lambda: [enclose_divergence(*clouds)]),
            ("divergence_gradient", refot.sinkhorn_divergence_gradient,
             lambda: [t for row in enclose_divergence_gradient(*clouds) for t in row])):
        answer, why = asked(function, case.x, case.a, case.y, case.b, case.eps,
                            backend=case.backend)
        try:
            yield name, why or verdict(answer, balls(), lambda: (
                np.ravel(rounding_bound(name, *clouds, "sqeuclidean"))))  # noqa: B023
        except EnclosureError:
            yield name, "refused"


def normalised(weights: Any, dtype: Any) -> Any:
    """The weights of a problem of this dtype (`refot.arrays.as_weights`), in float64. Weights in
    float32 are normalised again: an enclosure would refuse a sum that is 1 only to float32."""
    rounded = refot.arrays.as_weights(weights, len(weights), "a", dtype).astype(np.float64)
    return rounded / rounded.sum() if dtype == np.float32 else rounded


def main(first: int, last: int) -> None:
    counts: Counter[str] = Counter()
    for seed in range(first, last):
        for what, verdict in verdicts(drawn(seed)):
            counts[f"{what}: {verdict}"] += 1
            if verdict == "missed":
                print(f"seed {seed}: {what} missed", flush=True)
    print(dict(sorted(counts.items())))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
