"""Which costs each backend and each proof knows, and so which costs a test may ask of it.

A new cost of `refot.costs.ground` works on NumPy at once. It may be entered in the tables below or
left out of them: who lacks it refuses it. The costs of MUST_HAVE must be in their tables.
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
"""By table, the names of the costs that it has; "peers" are the libraries that are compared."""

DIFFERENCES = {"sqeuclidean", "euclidean", "l1"}

MUST_HAVE: dict[str, set[str]] = {
    "numba": {*DIFFERENCES, "dot"},
    "cupy": {*DIFFERENCES, "dot"},
    "balls": DIFFERENCES,
    "gradients in balls": DIFFERENCES,
    "peers": DIFFERENCES,
}
"""By table, the costs without which a test elsewhere would silently check less."""


def costs_known_to(*tables: str) -> list[str]:
    """The names of the costs that all of these tables have."""
    return sorted(set(POINT_COSTS).intersection(*(TABLES[table] for table in tables)))


EVERYWHERE = [name for name in costs_known_to(*TABLES) if name in GROUND_COSTS]
"""The costs of a difference that every table has: what a test of any part may draw."""

ON_BACKENDS = costs_known_to("numba", "cupy")
"""The costs that every backend computes."""
