"""docs/command-line.md has every command of `refot` with every option, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from refot.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands


def described(command: str) -> set[str]:
    """The options in the first column of the table below the heading of the command."""
    section = re.split(rf"^## .*refot {command}\b.*$", PAGE, flags=re.MULTILINE)[1]
    section = section.partition("\n## ")[0]
    if command in ("backends", "warm"):  # under one heading, and `backends` has none
        section = section if command == "warm" else ""
    cells = re.findall(r"^\| (`--.+?) \|", section, flags=re.MULTILINE)
    return {option for cell in cells for option in re.findall(r"`(--[\w-]+)`", cell)}


def options(command: str) -> set[str]:
    """Its options, and those of the commands below it."""
    found = COMMANDS[command]
    below = getattr(found, "commands", {}).values()
    names = {name for each in (found, *below) for parameter in each.params
             for name in (*parameter.opts, *parameter.secondary_opts)}
    return {name for name in names if name.startswith("--")} - {"--help"}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_the_page_has_every_option_of_a_command(command: str) -> None:
    assert described(command) == options(command)
    assert f"| `refot {command}` |" in PAGE
