"""Which costs a backend or a proof does not know, and so which costs a test may ask of it.

A new cost of `refot.costs.ground` that is for NumPy alone is entered in every set of EXCEPTIONS;
`tests/refot/costs/test_cost_tables.py` compares them with the tables themselves.
"""

from __future__ import annotations

from refot.costs.ground import GROUND_COSTS, POINT_COSTS

EXCEPTIONS: dict[str, set[str]] = {
    "numba": set(),
    "cupy": set(),
    "balls": {"dot"},
    "gradients in balls": {"dot"},
    "peers": {"dot"},
}
"""By table, the costs that it need not have; "peers" are the libraries that are compared."""


def costs_known_to(*tables: str) -> list[str]:
    """The names of the costs that all of these tables have."""
    return sorted(set(POINT_COSTS).difference(*(EXCEPTIONS[table] for table in tables)))


EVERYWHERE = [name for name in costs_known_to(*EXCEPTIONS) if name in GROUND_COSTS]
"""The costs of a difference that every table has: what a test of any part may draw."""

ON_BACKENDS = costs_known_to("numba", "cupy")
"""The costs that every backend computes."""
