"""Arithmetic of gradients, which are dictionaries from the name of a weight to an array."""

from __future__ import annotations

from collections.abc import Mapping

from refot.arrays import Array, UnknownNameError


def add(*gradients: Mapping[str, Array]) -> dict[str, Array]:
    """The sum, by name; a name may be missing in some. The arguments are not changed."""
    total: dict[str, Array] = {}
    for terms in gradients:
        for name, g in terms.items():
            total[name] = total[name] + g if name in total else g
    return total


def only(arrays: Mapping[str, Array], *parts: str) -> dict[str, Array]:
    """Those whose name begins with one of the parts and a dot: `only(gradients, "Q")`.

    Raises UnknownNameError for a part that no array has: a step on it would silently do nothing.
    """
    present = {name.partition(".")[0] for name in arrays}
    for part in parts:
        if part not in present:
            raise UnknownNameError("part", repr(part), "one of " + ", ".join(sorted(present)))
    return {name: g for name, g in arrays.items() if name.partition(".")[0] in parts}
