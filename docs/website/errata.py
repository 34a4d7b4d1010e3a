"""docs/errata.md as data: what each erratum changes, by how much, and the numbers that show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from website.register import DOCS

ROW = re.compile(r"^\| \[(\w+)\]\(#\w+\) \| (.+?) \| (.+) \| *(.*?) *\|$", re.MULTILINE)
SHOWN = re.compile(r'assert shown\(.+\) == "([^"]+)"\n *# in words: (.+)')


@dataclass(frozen=True)
class Erratum:
    """One erratum. `values` are the numbers that its code compares, by what they are, in words."""

    name: str
    where: str
    change: str
    size: str
    text: str
    values: dict[str, str]
    has_code: bool


@cache
def errata_page() -> dict[str, Erratum]:
    """The errata by name."""
    page = (DOCS / "errata.md").read_text(encoding="utf-8")
    found = {}
    for name, where, change, size in ROW.findall(page):
        section = re.split(rf"^### {name}$", page, flags=re.MULTILINE)[1]
        section = re.split(r"^##", section, maxsplit=1, flags=re.MULTILINE)[0]
        text = re.sub(r"\]\((?=[\w-]+\.md)", "](../", section.partition("```")[0].strip())
        found[name] = Erratum(name, where, change, size or "reading only", text,
                              numbers(section), "```python" in section)
    return found


def numbers(section: str) -> dict[str, str]:
    """The numbers of each `assert shown(...) == "..."  # in words: ...; ...`, by their words."""
    return {what: value for values, words in SHOWN.findall(section)
            for what, value in zip(words.split("; "), values.split(), strict=True)}
