"""What wrong calls have in common: a trait that all of them have, and hardly any right call has.

This is reported if no known mistake explains the answers. A wrong stride gives wrong answers only
where n != m, and a logarithm of 0 only where a weight is 0: a trait is not the cause, but shows
where to look for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np

from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.verification.subjects.protocol import argument_names

FEWEST_RIGHT = 3
"""At least this many right calls must lack the trait: with fewer, "wrong only where" says little.
"""

MOST_RIGHT = 1 / 4
"""At most this share of the calls with the trait may be right: a mistake may do no harm in some of
them."""

SMALL = 200
"""eps counts as small where (max C - min C) / eps is above this number."""

HUGE = 1e-2
"""eps counts as huge where (max C - min C) / eps is below this number."""


class Judged(Protocol):
    """A call that a check found right or wrong. `call` is a unique name; `traits` are those of its
    arguments."""

    @property
    def call(self) -> str: ...
    @property
    def wrong(self) -> bool: ...
    @property
    def traits(self) -> frozenset[str]: ...


def traits(capability: str, arguments: tuple[Any, ...]) -> frozenset[str]:
    """The traits of the arguments of a call, in words."""
    given = dict(zip(argument_names(capability), arguments, strict=True))
    weights = [given[name] for name in ("a", "b") if name in given]
    C = _matrix(given)
    n, m = C.shape
    spread, largest = float(np.ptp(C)), float(abs(C).max())
    ratio = spread / given["eps"] if "eps" in given else 1.0
    found = {
        "n != m": n != m,
        "n = m": n == m,
        "there is a single atom": min(n, m) == 1,
        "a weight is 0": any((w == 0).any() for w in weights),
        "the weights are not uniform": any(np.ptp(w) > 1e-6 for w in weights),
        "the arrays are float32": C.dtype == np.float32,
        "the costs lie far from 0": "C" in given and largest > 100 * spread > 0,
        "a cost is negative": "C" in given and (C < 0).any(),
        f"eps is small, (max C - min C) / eps > {SMALL}": ratio > SMALL,
        f"eps is huge, (max C - min C) / eps < {HUGE:g}": ratio < HUGE,
        f"the cost is {given.get('cost')}": "cost" in given,
    }
    return frozenset(name for name, there in found.items() if there)


def _matrix(given: dict[str, Any]) -> Array:
    """The cost matrix; for a capability without a cost, another argument of shape (n, m)."""
    if "x" in given:
        C = point_cost(given["x"], given["y"], given["cost"]).dense()
        return C.astype(given["x"].dtype)
    return next(given[name] for name in ("C", "Q", "P") if name in given)


def pattern(calls: Iterable[Judged]) -> str:
    """The one or two traits that all wrong calls have and hardly any right one, or ""."""
    judged = list(calls)
    wrong = {each.call: each for each in judged if each.wrong}
    right = {each.call: each for each in judged if not each.wrong and each.call not in wrong}
    if not wrong:
        return ""
    shared = frozenset.intersection(*(each.traits for each in wrong.values()))
    there = {trait: sum(trait in each.traits for each in right.values()) for trait in shared}
    telling = [trait for trait, count in there.items() if len(right) - count >= FEWEST_RIGHT
               and count <= MOST_RIGHT * (count + len(wrong))]
    if not telling:
        return ""
    least = min(there[trait] for trait in telling)
    alike = sorted(trait for trait in telling if there[trait] == least)
    return (f"wrong only where {' - or: '.join(alike[:2])} ({len(wrong)} of {len(wrong) + least} "
            f"such calls, 0 of {len(right) - least} others)")
