"""Names of the register as Python objects: what they are, and where their text stands."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from website.register import NAME, TEST, Row

ROOT = Path(__file__).resolve().parents[2]


def functions(row: Row) -> list[str]:
    """The functions that a row names."""
    return NAME.findall(row.functions)


def tests(row: Row) -> list[str]:
    """The tests that a row names."""
    return TEST.findall(row.tests)


@cache
def found(name: str) -> Any:
    """The object of a full name, `refot.module.name` or `refot.module.Class.method`."""
    parts = name.split(".")
    for k in range(len(parts) - 1, 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:k]))
            for part in parts[k:]:
                thing = getattr(thing, part)
        except (ModuleNotFoundError, AttributeError):
            continue
        return thing
    raise LookupError(name)


def canonical(name: str) -> str:
    """The name under which the object is documented: that of the module that defines it."""
    thing = found(name)
    return f"{thing.__module__}.{thing.__qualname__}"


@dataclass(frozen=True)
class Source:
    """A piece of a file: its text without common indentation, and where it stands."""

    file: str
    line: int
    text: str

    @property
    def lines(self) -> int:
        return self.text.count("\n")


@cache
def source(name: str) -> Source:
    """The text of a function or class of refot."""
    thing = inspect.unwrap(found(name))
    lines, start = inspect.getsourcelines(thing)
    path = Path(inspect.getsourcefile(thing) or "").resolve()
    return Source(path.relative_to(ROOT).as_posix(), start, inspect.cleandoc("\n" + "".join(lines))
                  + "\n")


@cache
def parsed(file: str) -> tuple[str, ast.Module]:
    text = (ROOT / file).read_text(encoding="utf-8")
    return text, ast.parse(text)


def test_source(name: str) -> Source:
    """The text of a test, with its decorators."""
    file, *path = name.split("::")
    text, tree = parsed(file)
    body: list[Any] = tree.body
    for part in path:
        node = next(node for node in body if getattr(node, "name", "") == part)
        body = node.body
    start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
    lines = text.splitlines()[start - 1:node.end_lineno]
    return Source(file, start, inspect.cleandoc("\n" + "\n".join(lines)) + "\n")
