"""POT's solver of many problems in one call: `ot.solve_batch`, of POT 0.9.6 and newer.

It takes costs (B, n, m) and weights (B, n), (B, m), and its result has the fields of `ot.solve`,
each with the batch in front. It stops when the 2-norm of the errors of the row sums is below `tol`,
or after `max_iter` iterations, and does not say which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.subjects.subject import Part

from . import Capabilities, once

DEFAULT = 1e-5 * math.sqrt(64)
"""The tolerance of the part with default options. Their `tol`, 1e-5, bounds the 2-norm of the
errors of the row sums. The L1 norm of these errors, which refot measures, may be sqrt(n) times
larger, and no case of the profile quick has more than n = 64 rows."""

TIGHT = {"tol": 1e-9, "max_iter": 1_000}
"""The options of the twin, which must pass at refot's usual tolerance."""

Reader = Callable[[Callable[..., Any], str], Capabilities]
"""Makes the capabilities of a function whose result has the fields of `ot.solve`."""


def batch(ot: ModuleType, read: Reader) -> Iterator[Part]:
    """A part with default options, which regularise by the entropy, and a twin with KL. An older
    POT has neither.

    reg = 0 is documented as exact transport. So a number in answer to eps = 0 is no failure.
    """
    if not hasattr(ot, "solve_batch"):
        return
    options = ", ".join(f"{name}={value:g}" for name, value in TIGHT.items())
    allowed = {"zero-eps": "reg = 0 is exact transport"}
    yield Part("ot.solve_batch", read(_first(ot, "entropy"), "pot.solve(entropy)"),
               calls="pot.solve(entropy)", tolerance=DEFAULT, allows=allowed)
    yield Part(f"ot.solve_batch(reg_type='kl', {options})",
               read(_first(ot, "kl", **TIGHT), "pot.solve"), calls="pot.solve", allows=allowed)


def _first(ot: ModuleType, reg_type: str, **options: Any) -> Callable[..., Any]:
    """The result of the first problem of a batch of two. The second one has half of its cost, so
    that a mixture of the two would be seen."""

    @once
    def solve(C: Array, a: Array, b: Array, eps: float) -> Any:
        costs, rows, columns = np.stack([C, C / 2]), np.stack([a, a]), np.stack([b, b])
        found = ot.solve_batch(costs, eps, rows, columns, reg_type=reg_type, **options)
        u, v = found.potentials
        return SimpleNamespace(plan=found.plan[0], potentials=(u[0], v[0]), value=found.value[0],
                               value_linear=found.value_linear[0])

    return solve
