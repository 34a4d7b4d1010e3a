"""Tables of peers from the reports of `refot verify TARGET --json`: by capability, and by case.

`python -m refot.verification.tools.peer_tables pot.json ott.json ...` prints both tables, in
Markdown, and a line of totals. Each part of a report is one function of the library. It is right if
it passes every check; a check that ended in an error or with "not converged" is not passed. The
checks of bad input, which most functions do not refuse, have a row of their own in the second
table. Unbalanced transport, which most libraries lack, is left out."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from refot.verification.cases.case import REAL, synthetic
from refot.verification.subjects.capabilities import CAPABILITIES, Role, names_of

JsonReport: TypeAlias = Mapping[str, Any]

Functions: TypeAlias = Mapping[str, Sequence[str]]
"""For each function of a library a list with one entry for each check: the case on which it failed,
or ""."""

BAD_INPUT = "bad input"
"""The row of all checks `*.refuses-*`, which stands for their cases."""

MOST_NAMED = 3
"""The most cases that a cell of a table names; if there are more, it gives their number."""


def by_capability(reports: Sequence[JsonReport]) -> str:
    """A row for each capability: how many functions pass every check; if none does, what the best
    one fails."""
    def capability(check: Mapping[str, str]) -> str:
        return "" if _family(check) == BAD_INPUT else check["capability"]

    return _table("capability", reports, names_of(Role.ANSWER), capability, _best)


def by_case(reports: Sequence[JsonReport]) -> str:
    """A row for each case: of the functions that were checked on it, how many pass every check."""
    names = [*(case.name for case in synthetic(0)), *REAL, BAD_INPUT]
    return _table("case", reports, names, _family, _count)


def totals(reports: Sequence[JsonReport]) -> str:
    """A sentence: how many of the checks that were made on it each library passes, with those of
    bad input."""
    def passed(report: JsonReport) -> str:
        made = _made(report)
        right = sum(check["status"] == "passed" for check in made)
        return f"{report['subject']['name']} {right} of {len(made)}"

    return f"In all they pass: {', '.join(map(passed, reports))}."


def _made(report: JsonReport) -> list[Mapping[str, str]]:
    """The checks that were made, of balanced transport."""
    return [check for check in report["checks"] if check["status"] != "not_provided"
            and not CAPABILITIES[check["capability"]].is_unbalanced]


def _family(check: Mapping[str, str]) -> str:
    """The case of a check without the number of its seed (#2), or BAD_INPUT."""
    return BAD_INPUT if ".refuses-" in check["id"] else check["case"].partition("#")[0]


def _table(
    heading: str, reports: Sequence[JsonReport], rows: Sequence[str],
    key: Callable[[Mapping[str, str]], str], cell: Callable[[Functions], str],
) -> str:
    columns = [_grouped(report, key) for report in reports]
    heads = [f"{r['subject']['name']} {r['subject']['version']}" for r in reports]
    lines = [_line([heading, *heads]), _line(["---"] * (len(reports) + 1))]
    for row in rows:
        if any(row in column for column in columns):
            lines.append(_line([f"`{row}`", *(cell(column.get(row, {})) for column in columns)]))
    return "\n".join(lines)


def _grouped(report: JsonReport, key: Callable[[Mapping[str, str]], str]) -> dict[str, Functions]:
    """The checks of a report, grouped by `key(check)` and then by function."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for check in _made(report):
        failed_on = "" if check["status"] == "passed" else _family(check)
        found[key(check)][check["part"]].append(failed_on)
    return {name: dict(functions) for name, functions in found.items()}


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _right(functions: Functions) -> int:
    return sum(not any(checks) for checks in functions.values())


def _count(functions: Functions) -> str:
    return f"{_right(functions)} of {len(functions)}" if functions else "-"


def _best(functions: Functions) -> str:
    if not functions:
        return "-"
    if _right(functions):
        return f"{_count(functions)} right"
    checks = min(functions.values(), key=lambda checks: sum(map(bool, checks)))
    failed = [case for case in checks if case]
    cases = sorted(set(failed))
    where = ", ".join(cases) if len(cases) <= MOST_NAMED else f"{len(cases)} cases"
    return f"fails {len(failed)} of {len(checks)}: {where}"


def main(paths: Sequence[str]) -> None:
    """Print both tables and the totals of the reports of these files."""
    reports = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    print(by_capability(reports), by_case(reports), totals(reports), sep="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
