"""The files of certified vectors: one for each capability that answers a problem, and one more.

`unbalanced_sides` has what `refot verify` does not ask for: a rho for each side, one side exact,
and total variation. U-1 is an equation of docs/equations.md."""

from __future__ import annotations

from refot.verification.subjects.capabilities import (
    CAPABILITIES,
    MATRIX,
    Answers,
    Capability,
    Role,
    Unit,
    names_of,
)

UNBALANCED_SIDES = Capability(
    "unbalanced_sides", (*MATRIX, "rho", "penalty"),
    "U of U-1, rho = [rows, columns], penalty kl or tv", Answers.NUMBER, Unit.COST, solved=True)
"""The record of the file for which there is no capability."""

FILES: dict[str, Capability] = {
    **{name: CAPABILITIES[name] for name in names_of(Role.ANSWER)},
    UNBALANCED_SIDES.name: UNBALANCED_SIDES,
}
"""The function whose answers each file records, by the name of the file without ".json"."""
