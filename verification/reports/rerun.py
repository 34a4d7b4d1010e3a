"""The `refot verify` commands that reports print for the reader: one repeats the whole run, one
repeats a single check of it on a single case."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Protocol


class Asked(Protocol):
    """One check on one case."""

    @property
    def id(self) -> str: ...
    @property
    def case(self) -> str: ...


@dataclass(frozen=True)
class Rerun:
    """The command line of a run, from which its commands are made. `words` are the arguments after
    `refot verify`."""

    words: tuple[str, ...]

    def whole(self, *more: str) -> str:
        """The whole run again, with `more` options."""
        return shlex.join(("refot", "verify", *self.words, *more))

    def one(self, result: Asked, part: tuple[str, ...]) -> str:
        """The command for one check on one case, in the debugger. `part` has the words that choose
        a part, or none."""
        return self.whole(*part, "--check", result.id, "--case", result.case, "--debug")


def words(
    target: str | None, command: str | None, capability: str | None, profile: str, seed: int
) -> tuple[str, ...]:
    """The words after `refot verify` that start this run, without options at their default."""
    said = [target] if target is not None else ["--command", command or ""]
    said += ["--as", capability] if capability is not None else []
    said += ["--profile", profile] if profile != "quick" else []
    return (*said, *(["--seed", str(seed)] if seed else []))
