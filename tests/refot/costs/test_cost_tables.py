"""Each cost is in each table that is kept by cost, or in the exceptions of that table.

A new cost of `refot.costs.ground` fails here until it is entered below: in the table, or, where a
backend or a proof is to refuse it, in the exceptions.
"""

from __future__ import annotations

import pytest

from refot.backends.cupy.sources import KINDS
from refot.backends.numba.costs import PAIR_TERMS, POINTS
from refot.costs.ground import GROUND_COSTS, POINT_COSTS
from refot.verification.enclosures.gradients import GROUND_GRADIENTS
from refot.verification.enclosures.problem import GROUND_COSTS as BALLS

TABLES = {
    "Numba's operands": ({cost.name for cost in POINTS}, set()),
    "CUDA's kinds": (set(KINDS), set()),
    "costs in balls": (set(BALLS), {"dot"}),
    "gradients in balls": (set(GROUND_GRADIENTS), {"dot"}),
}
"""The names in each table, and the costs that it need not have."""


@pytest.mark.parametrize("table", TABLES)
def test_each_cost_is_in_each_table_or_excepted(table: str) -> None:
    names, exceptions = TABLES[table]
    assert not names & exceptions
    assert names | exceptions == set(POINT_COSTS)


def test_the_compiled_terms_are_those_of_the_operands() -> None:
    assert set(PAIR_TERMS) == set(POINTS.values())


def test_a_cost_is_found_by_its_own_name_and_says_what_it_is() -> None:
    for name, cost in POINT_COSTS.items():
        assert cost.name == name
        assert (name in GROUND_COSTS) == cost.is_difference
    assert [name for name, cost in POINT_COSTS.items() if cost.is_quadratic] == ["sqeuclidean"]
