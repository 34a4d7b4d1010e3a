"""Arithmetic of gradients, which are dictionaries from the name of a weight to an array."""

from __future__ import annotations

from collections.abc import Mapping

from refot.arrays import Array, UnknownNameError


def add(*gradients: Mapping[str, Array]) -> dict[str, Array]:
    """The sum of gradients, weight by weight. A weight that is missing in one counts as 0 there.
    The arguments are not changed."""
    total: dict[str, Array] = {}
    for terms in gradients:
        for name, g in terms.items():
            total[name] = total[name] + g if name in total else g
    return total


def only(arrays: Mapping[str, Array], *parts: str) -> dict[str, Array]:
    """The arrays of some parts of a system, whose names begin with the part and a dot:
    `only(gradients, "Q")` keeps "Q.0.W" and not "D.0.W".

    Raises UnknownNameError for a part without arrays: a step on it would silently do nothing.
    """
    present = {name.partition(".")[0] for name in arrays}
    for part in parts:
        if part not in present:
            raise UnknownNameError("part", repr(part), "one of " + ", ".join(sorted(present)))
    return {name: g for name, g in arrays.items() if name.partition(".")[0] in parts}
