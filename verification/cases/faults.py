"""Faults of input: arguments to which there is no right answer, each one change of sound ones.

A fault changes the arguments by their names in the signature, and says to which capabilities it can
be done. Where a limit gives it a meaning after all, so that a careful subject may answer with a
number, `limit` has the sound arguments that mean the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array

Named: TypeAlias = dict[str, Any]
"""Arguments by their names, in the order of the signature."""

Change: TypeAlias = Callable[[Named], Named]

SOLVERS = ("plan", "potentials", "value", "transport_cost", "informative_plan", "divergence",
           "divergence_gradient")
ON_MATRICES = ("plan", "potentials", "value", "transport_cost", "informative_plan")
ON_POINTS = ("divergence", "divergence_gradient", "mmd")
OF_POTENTIALS = ("dual", "semidual", "semidual_gradient", "scaling_loss", "scaling_loss_gradient")

FORBIDDEN_FROM = 2e3
"""Units of eps by which a cost exceeds all others so that exp(-C / eps) is 0 in any arithmetic."""

LIKE_INFINITE_EPS = 1e9
"""eps in units of the largest cost at which it might as well be infinite."""

LIKE_ZERO_EPS = 1e-9
"""The same of 0."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the input, the sentence of its check, to which capabilities it can be
    done, the change, and the sound arguments that mean the same, with what a subject then does.
    `a_warning_tells`: the fault lies in the numbers, and a solver that says that it did not
    converge has said what there is to say.
    """

    name: str
    sentence: str
    capabilities: tuple[str, ...]
    change: Change
    limit: Change | None = None
    meaning: str = ""
    a_warning_tells: bool = False

    @property
    def noun(self) -> str:
        """The name as words: "negative eps"."""
        return self.name.replace("-", " ")


# ------------------------------------------------------------------ changes
def _at_first(name: str, entry: float) -> Change:
    """The first entry of an array replaced."""

    def change(named: Named) -> Named:
        array = named[name].copy()
        array[(0,) * array.ndim] = entry
        return named | {name: array}

    return change


def _first_array(entry: float) -> Change:
    """The first entry of the first argument replaced."""
    return lambda named: _at_first(next(iter(named)), entry)(named)


def _eps(change: Callable[[float], float]) -> Change:
    return lambda named: named | {"eps": change(named["eps"])}


def _negative_weight(side: str) -> Change:
    """The first weight of a side below 0, and a sum that is still 1."""

    def change(named: Named) -> Named:
        weights = named[side].copy()
        weights[1] += 2 * weights[0]
        weights[0] = -weights[0]
        return named | {side: weights}

    return change


def _one_too_many(name: str) -> Change:
    """One more entry, 0, so that a sum is what it was."""
    return lambda named: named | {name: np.append(named[name], named[name].dtype.type(0))}


def _without_rows(named: Named) -> Named:
    """No atom on the side of a."""
    sides = [name for name in ("C", "Q", "x", "a") if name in named]
    return named | {name: named[name][:0] for name in sides}


def _another_dimension(named: Named) -> Named:
    y: Array = named["y"]
    return named | {"y": np.concatenate([y, y[:, :1]], axis=1)}


# ------------------------------------------------------------------ what they tend to
def _forbidden(named: Named) -> Named:
    """An infinite cost forbids a pair: one that is only so large does as well."""
    C = named["C"].copy()
    C[0, 0] = C.max() + FORBIDDEN_FROM * named["eps"]
    return named | {"C": C}


def _scaled(share: float) -> Change:
    """eps in units of the largest number of the first argument."""
    return lambda named: named | {"eps": share * float(abs(next(iter(named.values()))).max())}


FAULTS = (
    Fault("nan", "A NaN in the costs or points gives an error or a NaN, not a number",
          (*ON_MATRICES, *ON_POINTS, "softmin", "q_objective", "mutual_information"),
          _first_array(np.nan)),
    Fault("nan", "A NaN in a potential or cost gives an error or a NaN, not a number",
          OF_POTENTIALS, _first_array(np.nan)),
    Fault("infinite-cost", "An infinite cost gives an error or a NaN, or forbids the pair",
          ON_MATRICES, _at_first("C", np.inf), _forbidden, "it takes it as a forbidden pair"),
    Fault("infinite-point", "A point at infinity gives an error or a NaN, not a number",
          ON_POINTS, _at_first("x", np.inf)),
    Fault("nan-target", "A NaN in the points y gives an error or a NaN, not a number",
          ON_POINTS, _at_first("y", np.nan)),
    Fault("unknown-cost", "A ground cost that nobody knows gives an error, not a number",
          ON_POINTS, lambda named: named | {"cost": "no-such-cost"}),
    Fault("nan-eps", "eps = NaN gives an error or a NaN, not a number",
          SOLVERS, _eps(lambda eps: np.nan)),
    Fault("negative-eps", "eps < 0 gives an error or a NaN, not a number",
          (*SOLVERS, "softmin", *OF_POTENTIALS), _eps(lambda eps: -eps)),
    Fault("zero-eps", "eps = 0 gives an error or a NaN, not a number",
          (*SOLVERS, "dual", "scaling_loss", "scaling_loss_gradient"), _eps(lambda eps: 0.0)),
    Fault("zero-eps", "eps = 0 gives an error, a NaN, or the limit",
          ("softmin", "semidual", "semidual_gradient"), _eps(lambda eps: 0.0),
          _scaled(LIKE_ZERO_EPS), "it gives the limit"),
    Fault("infinite-eps", "An infinite eps gives an error, a NaN, or the limit",
          SOLVERS, _eps(lambda eps: np.inf), _scaled(LIKE_INFINITE_EPS), "it gives the limit"),
    Fault("negative-weight", "A negative weight gives an error or a NaN, not a number",
          SOLVERS, _negative_weight("a")),
    Fault("negative-weight-b", "A negative weight in b gives an error or a NaN, not a number",
          SOLVERS, _negative_weight("b")),
    Fault("nan-weight-b", "A NaN in the weights b gives an error or a NaN, not a number",
          (*SOLVERS, *OF_POTENTIALS, "q_objective", "mmd"), _at_first("b", np.nan)),
    Fault("unequal-masses", "Weights of sums 1 and 2 have no coupling: an error, warning or NaN",
          SOLVERS, lambda named: named | {"b": 2 * named["b"]}, lambda named: named,
          "it takes weights as shares of their sum", a_warning_tells=True),
    Fault("long-weights", "More weights than atoms give an error, not a number",
          (*SOLVERS, *OF_POTENTIALS, "q_objective", "mmd"), _one_too_many("a")),
    Fault("long-weights-b", "More weights b than atoms give an error, not a number",
          (*SOLVERS, *OF_POTENTIALS, "q_objective", "mmd"), _one_too_many("b")),
    Fault("one-weight", "A single weight for many atoms gives an error, not a number",
          SOLVERS, lambda named: named | {"a": named["a"][:1] / named["a"][0]}),
    Fault("long-scores", "More scores than columns give an error, not a number",
          ("softmin",), _one_too_many("h")),
    Fault("other-dimension", "Points of different dimensions give an error, not a number",
          ON_POINTS, _another_dimension),
    Fault("no-atoms", "A measure without atoms gives an error or a NaN, not a number",
          (*SOLVERS, "mmd"), _without_rows),
    Fault("negative-mass", "A negative entry of P gives an error or a NaN, not a number",
          ("mutual_information",),
          lambda named: named | {"P": named["P"] * np.where(np.eye(*named["P"].shape), -1, 1)}),
)
"""Every fault; the check of a capability is `CAPABILITY.refuses-NAME`."""
