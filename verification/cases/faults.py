"""Bad input: arguments that have no right answer, each made from sound ones by one change.

A `Fault` changes an argument that it finds by its name, and lists the capabilities (plan, value,
...) that have such an argument. Some faults have a meaning as a limit (eps = 0, an infinite cost),
so that a careful subject may answer with a number. For these, `limit` gives sound arguments with
the same answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array

Named: TypeAlias = dict[str, Any]
"""Arguments by their names, in the order of the signature."""

Change: TypeAlias = Callable[[Named], Named]
"""Makes other arguments of the same call."""

# Groups of capabilities that have an argument in common.
SOLVERS = ("plan", "potentials", "value", "transport_cost", "informative_plan", "divergence",
           "divergence_gradient")
ON_MATRICES = ("plan", "potentials", "value", "transport_cost", "informative_plan")
ON_POINTS = ("divergence", "divergence_gradient", "mmd")
UNBALANCED = ("unbalanced_plan", "unbalanced_potentials", "unbalanced_value",
              "unbalanced_mass_gradient", "unbalanced_divergence", "unbalanced_divergence_gradient")
UNBALANCED_ON_POINTS = UNBALANCED[-2:]
OF_POTENTIALS = ("dual", "semidual", "semidual_gradient", "scaling_loss", "scaling_loss_gradient")

FORBIDDEN_FROM = 2e3
"""A cost that exceeds all others by this many eps stands for an infinite one: exp(-C / eps) is then
0 in any arithmetic."""

LIKE_INFINITE_EPS = 1e9
"""An eps, in units of the largest cost, with the same answers as an infinite one."""

LIKE_ZERO_EPS = 1e-9
"""An eps, in units of the largest cost, with the same answers as 0."""

LIKE_ZERO_RHO = 1e-9
"""A rho, in units of eps, with the same answers as 0: f is in proportion to rho, and so small that
it does not change P."""


@dataclass(frozen=True)
class Fault:
    """One way in which input can be bad.

    sentence: what the report says of its check. capabilities: those that have such arguments.
    change: makes the bad arguments from sound ones. limit: makes sound arguments with the same
    meaning, if there are any; the answer to these is then allowed. meaning: how the report
    describes a subject that gives this answer. a_warning_tells: whether it is enough that the
    subject warns that it did not converge.
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
    """A change that replaces the first entry of the array of this name."""

    def change(named: Named) -> Named:
        array = named[name].copy()
        array[(0,) * array.ndim] = entry
        return named | {name: array}

    return change


def _first_array(entry: float) -> Change:
    """A change that replaces the first entry of the first argument."""
    return lambda named: _at_first(next(iter(named)), entry)(named)


def _eps(change: Callable[[float], float]) -> Change:
    return lambda named: named | {"eps": change(named["eps"])}


def _rho(change: Callable[[float], float]) -> Change:
    return lambda named: named | {"rho": change(named["rho"])}


def _negative_weight(side: str) -> Change:
    """A change that makes the first weight of a side negative, while the sum stays 1."""

    def change(named: Named) -> Named:
        weights = named[side].copy()
        weights[1] += 2 * weights[0]
        weights[0] = -weights[0]
        return named | {side: weights}

    return change


def _one_too_many(name: str) -> Change:
    """A change that appends an entry 0 to an array, so that its sum stays the same."""
    return lambda named: named | {name: np.append(named[name], named[name].dtype.type(0))}


def _without_rows(named: Named) -> Named:
    """The arguments without any atom on the side of a."""
    sides = [name for name in ("C", "Q", "x", "a") if name in named]
    return named | {name: named[name][:0] for name in sides}


def _another_dimension(named: Named) -> Named:
    y: Array = named["y"]
    return named | {"y": np.concatenate([y, y[:, :1]], axis=1)}


# ------------------------------------------------------------------ limits with a meaning
def _forbidden(named: Named) -> Named:
    """In place of an infinite cost, which forbids its pair, a finite one that does the same."""
    C = named["C"].copy()
    C[0, 0] = C.max() + FORBIDDEN_FROM * named["eps"]
    return named | {"C": C}


def _scaled(share: float) -> Change:
    """eps replaced by this share of the largest number of the first argument."""
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
    Fault("nan", "A NaN in the costs or points gives an error or a NaN, not a number", UNBALANCED,
          _first_array(np.nan)),
    Fault("nan-eps", "eps = NaN gives an error or a NaN, not a number",
          UNBALANCED, _eps(lambda eps: np.nan)),
    Fault("negative-eps", "eps < 0 gives an error or a NaN, not a number",
          UNBALANCED, _eps(lambda eps: -eps)),
    Fault("nan-rho", "rho = NaN gives an error or a NaN, not a number",
          UNBALANCED, _rho(lambda rho: np.nan)),
    Fault("negative-rho", "rho < 0 gives an error or a NaN, not a number",
          UNBALANCED, _rho(lambda rho: -rho)),
    Fault("zero-rho", "rho = 0 gives an error, a NaN, or the limit", UNBALANCED,
          _rho(lambda rho: 0.0), lambda named: named | {"rho": LIKE_ZERO_RHO * named["eps"]},
          "it gives the limit"),
    Fault("negative-weight", "A negative weight gives an error or a NaN, not a number",
          UNBALANCED, _negative_weight("a")),
    Fault("nan-weight-b", "A NaN in the weights b gives an error or a NaN, not a number",
          UNBALANCED, _at_first("b", np.nan)),
    Fault("long-weights", "More weights than atoms give an error, not a number",
          UNBALANCED, _one_too_many("a")),
    Fault("no-atoms", "A measure without atoms gives an error or a NaN, not a number",
          UNBALANCED, _without_rows),
    Fault("unknown-cost", "A ground cost that nobody knows gives an error, not a number",
          UNBALANCED_ON_POINTS, lambda named: named | {"cost": "no-such-cost"}),
    Fault("other-dimension", "Points of different dimensions give an error, not a number",
          UNBALANCED_ON_POINTS, _another_dimension),
    Fault("negative-mass", "A negative entry of P gives an error or a NaN, not a number",
          ("mutual_information",),
          lambda named: named | {"P": named["P"] * np.where(np.eye(*named["P"].shape), -1, 1)}),
)
"""Every fault. Its check for a capability has the id `CAPABILITY.refuses-NAME`."""
