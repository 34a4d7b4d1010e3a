"""The tables that are kept by cost have the costs that they must have, and none that is unknown."""

from __future__ import annotations

import pytest
from point_costs.tables import EVERYWHERE, MUST_HAVE, TABLES

from refot.backends.numba.costs import PAIR_TERMS, POINTS
from refot.costs.ground import GROUND_COSTS, POINT_COSTS


def test_each_table_says_what_it_must_have() -> None:
    assert TABLES.keys() == MUST_HAVE.keys()
    assert set(EVERYWHERE) >= set.intersection(*MUST_HAVE.values())


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_what_it_must_have_and_only_costs_that_exist(table: str) -> None:
    assert MUST_HAVE[table] <= TABLES[table] <= set(POINT_COSTS)


def test_the_compiled_terms_are_those_of_the_operands() -> None:
    assert set(PAIR_TERMS) == set(POINTS.values())


def test_a_cost_is_found_by_its_own_name_and_says_what_it_is() -> None:
    for name, cost in POINT_COSTS.items():
        assert cost.name == name
        assert (name in GROUND_COSTS) == cost.is_difference
    assert [name for name, cost in POINT_COSTS.items() if cost.is_quadratic] == ["sqeuclidean"]
