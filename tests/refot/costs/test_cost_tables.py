"""Each cost is in each table that is kept by cost, or in the exceptions of that table.

A new cost of `refot.costs.ground` fails here until it is entered: in the table, or, where a backend
or a proof is to refuse it, in the exceptions of `tests/support/point_costs/tables.py`.
"""

from __future__ import annotations

import pytest
from adapter_problem import ALL_COSTS
from point_costs.tables import EVERYWHERE, EXCEPTIONS

from refot.backends.cupy.sources import KINDS
from refot.backends.numba.costs import PAIR_TERMS, POINTS
from refot.costs.ground import GROUND_COSTS, POINT_COSTS
from refot.verification.enclosures.gradients import GROUND_GRADIENTS
from refot.verification.enclosures.problem import GROUND_COSTS as BALLS

TABLES = {
    "numba": {cost.name for cost in POINTS},
    "cupy": set(KINDS),
    "balls": {cost.name for cost in BALLS},
    "gradients in balls": set(GROUND_GRADIENTS),
    "peers": set(ALL_COSTS),
}
"""The names that each table has."""


def test_there_are_exceptions_for_these_tables_and_no_others() -> None:
    assert TABLES.keys() == EXCEPTIONS.keys()
    assert EVERYWHERE


@pytest.mark.parametrize("table", TABLES)
def test_each_cost_is_in_each_table_or_excepted(table: str) -> None:
    assert not TABLES[table] & EXCEPTIONS[table]
    assert TABLES[table] | EXCEPTIONS[table] == set(POINT_COSTS)


def test_the_compiled_terms_are_those_of_the_operands() -> None:
    assert set(PAIR_TERMS) == set(POINTS.values())


def test_a_cost_is_found_by_its_own_name_and_says_what_it_is() -> None:
    for name, cost in POINT_COSTS.items():
        assert cost.name == name
        assert (name in GROUND_COSTS) == cost.is_difference
    assert [name for name, cost in POINT_COSTS.items() if cost.is_quadratic] == ["sqeuclidean"]
