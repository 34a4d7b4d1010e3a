"""docs/spec.md names each capability with the arguments of its record, in the same order."""

from __future__ import annotations

import re
from pathlib import Path

from refot.verification.subjects.capabilities import CAPABILITIES

SPEC = Path(__file__).resolve().parents[2] / "docs" / "spec.md"


def test_the_specification_has_every_capability_with_its_arguments() -> None:
    section = SPEC.read_text("utf-8").split("## Capabilities")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, flags=re.MULTILINE)
    assert {name: tuple(arguments.split(", ")) for name, arguments in rows} == {
        name: record.takes for name, record in CAPABILITIES.items()}


def test_the_latest_change_is_of_the_version_at_the_top() -> None:
    text = SPEC.read_text("utf-8")
    version = re.search(r"^Version (\d+\.\d+)\.", text, flags=re.MULTILINE)
    assert version is not None
    assert text.split("## Changes")[1].strip().startswith(f"- {version[1]}: ")
