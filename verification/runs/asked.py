"""The checks of a run: which check is made of which part on which case, and in which order.

The runner, its worker processes, the debugger, the pytest plugin, and the file of requests to a
program all take the checks from here, so that they all make the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from refot.verification.cases.case import Case
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Check
from refot.verification.subjects.subject import Part


@dataclass(frozen=True)
class Selection:
    """Some checks on some cases of some parts, by name; None stands for all."""

    check: str | None = None
    case: str | None = None
    part: str | None = None

    @property
    def some(self) -> bool:
        """Whether a check, case or part is named, so that not everything is run."""
        return (self.check, self.case, self.part) != (None, None, None)

    def takes(self, part: Part, case: Case, check: Check) -> bool:
        """Whether this check of this part on this case is selected."""
        return (self.part in (None, part.name) and self.case in (None, case.name)
                and self.check in (None, check.id))


EVERYTHING = Selection()
"""The selection that leaves nothing out."""


def asked(
    parts: Sequence[Part], cases: Iterable[Case], selection: Selection = EVERYTHING
) -> Iterator[tuple[Part, Case, Check]]:
    """Each (part, case, check) that is selected, case by case and part by part.

    Left out are checks of capabilities that a part does not offer, and those that do not apply to a
    case.
    """
    for case in cases:
        for part in parts:
            for check in CHECKS.values():
                if (check.capability in part.capabilities and check.applies(case)
                        and selection.takes(part, case, check)):
                    yield part, case, check
