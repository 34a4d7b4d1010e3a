"""Known mistakes of reading the arguments: the right answer to arguments that were read wrongly.

Such a mistake can be made in every capability (function of an implementation) that takes the
argument, so that one table, READINGS, serves all capabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.verification.subjects.protocol import argument_names

from .mistake import Answer, Forms, Table, forms
from .transport import even

Named: TypeAlias = dict[str, Any]
"""Arguments by name. A wrong reading takes those that were given, and returns those with which an
implementation may compute in their place: a list, which is empty where the mistake cannot be made
or changes nothing."""


# ------------------------------------------------------------------ the order of a matrix
def _stride(given: Named) -> list[Named]:
    """Entry (i, j) of the cost is looked for at place i n + j in memory, not at i m + j.

    For n > m that leads beyond the end of the memory, and for n = m it is right: then there is no
    wrong reading.
    """
    n, m = given["C"].shape
    if n >= m:
        return []
    at = np.arange(n)[:, None] * n + np.arange(m)
    return [given | {"C": given["C"].ravel()[at]}]


def _column_by_column(given: Named) -> list[Named]:
    """The cost is read column by column. For n = m that is the mistake "cost-transposed"."""
    n, m = given["C"].shape
    if n == m:
        return []
    return [given | {"C": np.ascontiguousarray(given["C"].ravel().reshape(m, n).T)}]


# ------------------------------------------------------------------ weights of 0
def _filled(weights: Array) -> Array:
    return np.where(weights > 0, weights, 1 / len(weights))


def _zeros_filled(given: Named) -> list[Named]:
    """Readings in which each weight 0 of a, of b, or of both is replaced by 1 / n, n the number of
    weights. All weights are then scaled so that their sum is what it was before."""
    zero = [name for name in ("a", "b") if (given[name] == 0).any()]
    changes = [{name: _filled(given[name])} for name in zero]
    if len(zero) == 2:
        changes.append(changes[0] | changes[1])
    return [given | {name: w * (_mass(given, name) / w.sum()) for name, w in change.items()}
            for change in changes]


def _mass(given: Named, name: str) -> float:
    """The sum that the weights of this name must have: 1 in balanced transport, where `rho` is no
    argument; in unbalanced transport the sum of those given."""
    return float(given[name].sum()) if "rho" in given else 1.0


def _changed(name: str, change: Callable[[Any], Any]) -> Callable[[Named], list[Named]]:
    return lambda given: [given | {name: change(given[name])}]


def _uniform(*names: str) -> Callable[[Named], list[Named]]:
    return lambda given: [given | {name: even(given[name]) for name in names}]


READINGS: dict[str, tuple[str, tuple[str, ...], Callable[[Named], list[Named]]]] = {
    "row-stride": ("the cost is read with row stride n, not m", ("C",), _stride),
    "column-by-column": ("the cost is read column by column, not row by row", ("C",),
        _column_by_column),
    "zero-weight-filled": (
        "a weight of 0 is taken as none given, and 1/n stands for it (`w or 1 / n`)", ("a", "b"),
        _zeros_filled),
    "eps-halved": ("eps is halved", ("eps",), _changed("eps", lambda eps: eps / 2)),
    "eps-doubled": ("eps is doubled", ("eps",), _changed("eps", lambda eps: 2 * eps)),
    "cost-halved": ("the cost is halved (c / 2)", ("C",), _changed("C", lambda C: C / 2)),
    "weights-ignored": ("the weights a and b are ignored (uniform ones used)", ("a", "b"),
        _uniform("a", "b")),
    "weights-a-ignored": ("the weights a are ignored (uniform ones used)", ("a",), _uniform("a")),
    "weights-b-ignored": ("the weights b are ignored (uniform ones used)", ("b",), _uniform("b")),
}
"""Wrong readings by name: (the sentence that describes it, the arguments it needs, the reading).

If the table of a capability has a mistake of the same name, the catalogue takes that one."""


def of_readings(capability: str, right: Answer) -> Table:
    """The mistakes in a capability that come from reading its arguments wrongly."""
    names = argument_names(capability)

    def mistake(read: Callable[[Named], list[Named]]) -> Callable[..., Forms]:
        def alternative(*arguments: Any) -> Forms:
            given = dict(zip(names, arguments, strict=True))
            return Forms(tuple(form for changed in read(given)
                               for form in forms(_with_masses(
                                   right(*changed.values()), capability, given, changed))))

        return alternative

    return {name: (sentence, mistake(read)) for name, (sentence, needed, read) in READINGS.items()
            if set(needed) <= set(names)}


def _with_masses(answer: Any, capability: str, given: Named, changed: Named) -> Any:
    """The answer; for a plan, also the plans of implementations that replace weights 0, but do not
    scale the weights afterwards.

    Such weights do not sum to 1. The last update of Sinkhorn's algorithm makes one marginal of the
    plan equal to the weights a or b, so the mass of the plan is their sum.
    """
    if capability != "plan":
        return answer
    masses = {float(_filled(given[name]).sum()) for name in ("a", "b")
              if changed[name] is not given[name]}
    return Forms((answer, *(mass * answer for mass in masses)))
