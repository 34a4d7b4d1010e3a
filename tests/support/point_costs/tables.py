"""Which costs between points each backend and each kind of enclosure supports, for the tests.

A new cost of `refot.costs.ground` works on NumPy at once. The other parts of refot each have a
table of the costs that they support, and refuse any other. Only the costs of MUST_HAVE must be in
their tables.
"""

from __future__ import annotations

from adapter_problem import ALL_COSTS

from refot.backends.cupy.sources import KINDS
from refot.backends.numba.costs import POINTS
from refot.costs.ground import GROUND_COSTS, POINT_COSTS
from refot.verification.enclosures.gradients import GROUND_GRADIENTS
from refot.verification.enclosures.problem import GROUND_COSTS as BALLS

TABLES: dict[str, set[str]] = {
    "numba": {cost.name for cost in POINTS},
    "cupy": set(KINDS),
    "balls": {cost.name for cost in BALLS},
    "gradients in balls": set(GROUND_GRADIENTS),
    "peers": set(ALL_COSTS),
}
"""The names of the costs in each table; "peers" are the libraries that refot is compared with."""

DIFFERENCES = {"sqeuclidean", "euclidean", "l1"}

MUST_HAVE: dict[str, set[str]] = {
    "numba": {*DIFFERENCES, "dot"},
    "cupy": {*DIFFERENCES, "dot"},
    "balls": DIFFERENCES,
    "gradients in balls": DIFFERENCES,
    "peers": DIFFERENCES,
}
"""The costs that each table must have: without them other tests would silently check less."""


def costs_known_to(*tables: str) -> list[str]:
    """The names of the costs that all of these tables have."""
    return sorted(set(POINT_COSTS).intersection(*(TABLES[table] for table in tables)))


EVERYWHERE = [name for name in costs_known_to(*TABLES) if name in GROUND_COSTS]
"""The costs, functions of x - y, that every table has: a test may use them with any part."""

ON_BACKENDS = costs_known_to("numba", "cupy")
"""The costs that every backend computes."""
