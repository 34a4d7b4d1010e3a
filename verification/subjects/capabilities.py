"""Capabilities: the functions that a subject may offer, with one record for each.

A record says what a capability takes and returns. All else follows from it: the arguments of calls,
the shape of an answer, its tolerance, whether a convention translates it, requests to a program,
the JSON schemas, and the lists in the reports. Only the right answers are functions, and are
elsewhere: in `verification/truth/right.py`. docs/contributing-check.md shows how to add a
capability.

B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. U-1, U-2 and U-8 are
equations of docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

# ------------------------------------------------------------------ what a capability takes
MATRIX = ("C", "a", "b", "eps")
"""The arguments of a problem given by its cost matrix: C (n, m), both weights, and eps."""

CLOUDS = ("x", "a", "y", "b", "eps", "cost")
"""The arguments of a problem given by two clouds: points and weights of each, eps, and the name of
the ground cost."""

UNBALANCED = (*MATRIX, "rho")
"""An unbalanced problem: masses a and b of any total, rho the strength of both KL penalties."""

UNBALANCED_CLOUDS = ("x", "a", "y", "b", "eps", "rho", "cost")
"""An unbalanced problem of two clouds of points."""

JOINT = "P"
"""The argument that is a joint law (n, m). The checks give as weights beside it its marginals; the
certified vectors also give others."""


class Role(Enum):
    """What a capability is for."""

    ANSWER = "the answer to one problem: numbers and arrays in, a number or arrays out"
    STATEMENT = "what a subject says of its own answers; it is never reported as missing"
    TRAINING = "steps of an algorithm, checked against golden trajectories and not on problems"


class Answers(Enum):
    """What an answer is: n and m are the numbers of rows and columns, d is the dimension."""

    NUMBER = "a number"
    ROWS = "one entry a row, (n,)"
    COLUMNS = "one entry a column, (m,)"
    TABLE = "one entry a pair, (n, m)"
    POINTS = "one vector a point of the first cloud, (n, d)"
    PAIR = "potentials (n,) and (m,), in any gauge: only their sums f_i + g_j have one right value"
    BOTH = "potentials (n,) and (m,), each of which has one right value: no gauge is free"
    YES_OR_NO = "yes or no"
    STEPS = "a record for each step"


class Unit(Enum):
    """The unit of an answer and of its error."""

    NONE = "none"
    COST = "that of the cost"
    MASS = "mass, of which there is about 1 in all"
    SLOPE = "cost by length"


@dataclass(frozen=True)
class Capability:
    """One function that a subject may offer.

    `takes` has the names of its arguments in order, and `returns` describes its answer to a reader.
    `solved` says that an iteration finds the answer, which may stop too early; `measured`, that
    the report shows its time and memory against n.
    """

    name: str
    takes: tuple[str, ...]
    returns: str
    answers: Answers
    unit: Unit = Unit.NONE
    solved: bool = False
    measured: bool = False
    role: Role = Role.ANSWER

    @property
    def signature(self) -> str:
        """The call and its answer as text: "value(C, a, b, eps) -> KL-inclusive F"."""
        return f"{self.name}({', '.join(self.takes)}) -> {self.returns}"

    @property
    def eps_at(self) -> int | None:
        """Which of the arguments is eps, counted from 0; None where none is."""
        return self.takes.index("eps") if "eps" in self.takes else None

    @property
    def is_translated(self) -> bool:
        """Whether a declared convention changes its arguments and answer.

        That is so if it takes a whole problem and nothing else. All others have a single meaning,
        whatever the convention.
        """
        return self.takes in (MATRIX, CLOUDS) or self.is_unbalanced

    @property
    def is_unbalanced(self) -> bool:
        """Whether it is of masses that need not match, so that rho is among its arguments."""
        return "rho" in self.takes

    @property
    def on_matrix(self) -> bool:
        """Whether it answers a problem given by a cost matrix. The capability `converged` is about
        solves of such problems only."""
        return self.takes == MATRIX and self.role is Role.ANSWER

    def named(self, arguments: tuple[Any, ...]) -> dict[str, Any]:
        """The arguments by their names."""
        return dict(zip(self.takes, arguments, strict=True))

    def zeros(self, arguments: tuple[Any, ...]) -> Any:
        """An answer of zeros, in the shape that the answer to these arguments must have."""
        table = next((value for value in arguments if getattr(value, "ndim", 0) == 2),
                     np.zeros((1, 1)))
        shapes: dict[Answers, tuple[int, ...]] = {
            Answers.ROWS: table.shape[:1], Answers.COLUMNS: table.shape[1:],
            Answers.TABLE: table.shape, Answers.POINTS: table.shape}
        if self.answers in (Answers.PAIR, Answers.BOTH):
            return np.zeros(table.shape[0]), np.zeros(table.shape[1])
        return np.zeros(shapes.get(self.answers, ()))


_RECORDS = (
    Capability("plan", MATRIX, "P (n, m)", Answers.TABLE, Unit.MASS, solved=True, measured=True),
    Capability("potentials", MATRIX, "(f (n,), g (m,)), any gauge", Answers.PAIR, Unit.COST,
               solved=True, measured=True),
    Capability("value", MATRIX, "KL-inclusive F", Answers.NUMBER, Unit.COST, solved=True,
               measured=True),
    Capability("transport_cost", MATRIX, "sharp s = <C, P>", Answers.NUMBER, Unit.COST,
               solved=True),
    Capability("softmin", ("C", "h", "eps"), "(n,): -eps log sum_j exp((h_j - C_ij)/eps)",
               Answers.ROWS, Unit.COST),
    Capability("dual", ("f", "g", *MATRIX), "B-13 corrected, at any f, g", Answers.NUMBER,
               Unit.COST),
    Capability("semidual", ("g", *MATRIX), "B-24 corrected / H-23", Answers.NUMBER, Unit.COST),
    Capability("semidual_gradient", ("g", *MATRIX), "(m,): b - a @ chi", Answers.COLUMNS,
               Unit.MASS),
    Capability("scaling_loss", (*MATRIX, "L"), "G-8 after L steps from v = b", Answers.NUMBER,
               Unit.COST),
    Capability("scaling_loss_gradient", (*MATRIX, "L"), "(n, m), in C", Answers.TABLE,
               Unit.MASS),
    Capability("divergence", CLOUDS, "S of B-9", Answers.NUMBER, Unit.COST, solved=True,
               measured=True),
    Capability("divergence_gradient", CLOUDS, "(n, d), in x", Answers.POINTS, Unit.SLOPE,
               solved=True),
    Capability("mmd", ("x", "a", "y", "b", "cost"), "squared, V-statistic, kernel -c",
               Answers.NUMBER, Unit.COST),
    Capability("q_objective", ("Q", JOINT, "a", "b"), "B-31, Q and P (n1, m), a = zeta1",
               Answers.NUMBER),
    Capability("informative_plan", ("C", "Q", "lam", "a", "b", "eps"), "plan of cost C - lam Q",
               Answers.TABLE, Unit.MASS, solved=True),
    Capability("mutual_information", (JOINT,), "KL of P to the product of its marginals",
               Answers.NUMBER),
    Capability("unbalanced_plan", UNBALANCED, "P (n, m) of U-1", Answers.TABLE, Unit.MASS,
               solved=True, measured=True),
    Capability("unbalanced_potentials", UNBALANCED, "(f (n,), g (m,)) of U-2", Answers.BOTH,
               Unit.COST, solved=True, measured=True),
    Capability("unbalanced_value", UNBALANCED, "U of U-1", Answers.NUMBER, Unit.COST, solved=True,
               measured=True),
    Capability("unbalanced_mass_gradient", UNBALANCED, "(n,): dU/da, not centred", Answers.ROWS,
               Unit.COST, solved=True),
    Capability("unbalanced_divergence", UNBALANCED_CLOUDS, "S of U-8", Answers.NUMBER, Unit.COST,
               solved=True),
    Capability("unbalanced_divergence_gradient", UNBALANCED_CLOUDS, "(n, d), in x",
               Answers.POINTS, Unit.SLOPE, solved=True),
    Capability("train_step", ("algorithm", "settings", "weights", "batches"),
               "[{losses, weights[, gradients]}], a step for each batch", Answers.STEPS,
               role=Role.TRAINING),
    Capability("converged", MATRIX, "whether the solve of these arguments converged",
               Answers.YES_OR_NO, role=Role.STATEMENT),
)

CAPABILITIES: dict[str, Capability] = {record.name: record for record in _RECORDS}
"""Everything that a subject may offer, by name, in the order of the lists and reports."""


def names_of(*roles: Role) -> list[str]:
    """The names of the capabilities that have one of these roles."""
    return [record.name for record in CAPABILITIES.values() if record.role in roles]


def missing_from(offered: set[str]) -> list[Capability]:
    """The capabilities that are missing from those offered. Statements are never missing."""
    return [record for record in CAPABILITIES.values()
            if record.role is not Role.STATEMENT and record.name not in offered]
