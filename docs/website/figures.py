"""The interactive figures, computed by refot while the site is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from website import figures_plans, figures_values
from website.drawing import Figure

DRAW: dict[str, Callable[[], Figure]] = {
    "softmin": figures_plans.softmin,
    "plan": figures_plans.plan,
    "iterates": figures_plans.iterates,
    "e3": figures_plans.printed_plan,
    "informative": figures_plans.informative,
    "unbalanced": figures_plans.unbalanced,
    "cells": figures_plans.cells,
    "collapse": figures_plans.collapse,
    "dual": figures_values.dual,
    "bias": figures_values.bias,
    "mmd": figures_values.limits,
    "unrolled": figures_values.unrolled,
    "complexity": figures_values.complexity,
    "counter": figures_values.counter_example,
}


class Drawn(Mapping[str, Figure]):
    """The figures by name, each drawn once, when it is first asked for."""

    def __init__(self) -> None:
        self._drawn: dict[str, Figure] = {}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._drawn:
            self._drawn[name] = DRAW[name]()
        return self._drawn[name]

    def __iter__(self) -> Iterator[str]:
        return iter(DRAW)

    def __len__(self) -> int:
        return len(DRAW)


FIGURES = Drawn()


def figures_page(used_by: Mapping[str, list[str]]) -> str:
    """All figures on one page; `used_by` holds links to the equations of each."""
    parts = ["# Figures to play with", "Move a slider with the mouse, or choose it with the Tab "
             "key and use the arrow keys. Every number was computed by refot when this page was "
             "built; without scripts, each figure shows one position."]
    for name, figure in FIGURES.items():
        parts += [f"## {figure.title}", figure.as_markdown(),
                  f"Equations: {', '.join(used_by[name])}."]
    return "\n\n".join(parts) + "\n"
