"""Subjects: what is verified. A subject has named parts; a part offers some of the capabilities.

A part is one function of one library with one convention, so that a report says which function is
wrong and not only that "POT" is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

OF_A_PROBLEM: dict[str, str] = {
    "plan": "plan(C, a, b, eps) -> P (n, m)",
    "potentials": "potentials(C, a, b, eps) -> (f (n,), g (m,)), any gauge",
    "value": "value(C, a, b, eps) -> KL-inclusive F",
    "transport_cost": "transport_cost(C, a, b, eps) -> sharp s = <C, P>",
    "softmin": "softmin(C, h, eps) -> (n,): -eps log sum_j exp((h_j - C_ij)/eps)",
    "dual": "dual(f, g, C, a, b, eps) -> B-13 corrected, at any f, g",
    "semidual": "semidual(g, C, a, b, eps) -> B-24 corrected / H-23",
    "semidual_gradient": "semidual_gradient(g, C, a, b, eps) -> (m,): b - a @ chi",
    "scaling_loss": "scaling_loss(C, a, b, eps, L) -> G-8 after L steps from v = b",
    "scaling_loss_gradient": "scaling_loss_gradient(C, a, b, eps, L) -> (n, m), in C",
    "divergence": "divergence(x, a, y, b, eps, cost) -> S of B-9",
    "divergence_gradient": "divergence_gradient(x, a, y, b, eps, cost) -> (n, d), in x",
    "mmd": "mmd(x, a, y, b, cost) -> squared, V-statistic, kernel -c",
    "q_objective": "q_objective(Q, P, a, b) -> B-31, Q and P (n1, m), a = zeta1",
    "informative_plan": "informative_plan(C, Q, lam, a, b, eps) -> plan of cost C - lam Q",
    "mutual_information": "mutual_information(P) -> KL of P to the product of its marginals",
}
"""The functions of one problem: numbers and arrays in, a number or arrays out, in any language."""

STATEMENTS: dict[str, str] = {
    "converged": "converged(C, a, b, eps) -> whether the solve of these arguments converged",
}
"""What a subject may say of its own answers. Nobody misses it where it is not there."""

TRAINING: dict[str, str] = {
    "train_step": "train_step(algorithm, settings, weights, batches) -> [{losses, weights"
                  "[, gradients]}], a step for each batch",
}
"""What is checked against the golden trajectories and not on problems: see `trajectories`."""

CAPABILITIES = OF_A_PROBLEM | TRAINING
"""Everything a subject may offer; what it does not is reported as not provided."""


@dataclass(frozen=True)
class Part:
    """One named function (or a few that belong together) with the capabilities it offers.

    Each capability takes and returns NumPy arrays and floats with the signature of CAPABILITIES.
    What it returns is in the named convention of `refot.conventions.convert` ("refot" unless
    declared). `calls` names the convention of the library call behind an adapter that has converted
    already. `allows` names faults of the input (`checks.faults`) to which its documentation gives a
    meaning, each with what it says: there a number is no failure. """

    name: str
    capabilities: Mapping[str, Callable[..., Any]]
    convention: str = "refot"
    tolerance: float | None = None
    calls: str = ""
    allows: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What `refot verify TARGET` verifies: a name, a version, and its parts."""

    name: str
    version: str
    parts: tuple[Part, ...] = field(default_factory=tuple)
