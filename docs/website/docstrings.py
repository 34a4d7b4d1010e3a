"""A Sphinx extension: refot's docstrings, which are plain text, as reStructuredText.

Names in backticks become code, the numbers of equations ("B-25") and errata links to their pages,
and indented formulas keep their lines. Each function of the register is given its formula.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from website.names import canonical, functions
from website.register import DOCS, EQUATION, notes, register

SPECIAL = re.compile(r"([\\*|_])")
PAGE = re.compile(r"\bdocs/([\w-]+)\.md\b")
ERRATUM = re.compile(r"\b(?:erratum|errata|Erratum) ([BEGHL]\d+)\b")


@cache
def pages() -> dict[str, str]:
    """The page of each numbered equation: "B-12" is on "b-10"."""
    return {name: row.slug for row in register() for name in row.names}


@cache
def rows_of() -> dict[str, list[Any]]:
    """The rows of the register that name a function, by its full name."""
    found: dict[str, list[Any]] = {}
    for row in register():
        for name in functions(row):
            found.setdefault(canonical(name), []).append(row)
    return found


@cache
def imported() -> dict[str, set[str]]:
    """The names that the examples of each page call or import from refot."""
    found = {}
    for page in sorted(DOCS.glob("*.md")):
        code = "".join(re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"),
                                  re.MULTILINE | re.DOTALL))
        calls = set(re.findall(r"\brefot\.(\w+)\(", code))
        for names in re.findall(r"^from refot[\w.]* import (\([^)]*\)|.*)$", code, re.MULTILINE):
            calls |= set(re.findall(r"\w+", names))
        found[page.relative_to(DOCS).with_suffix("").as_posix()] = calls
    for example in sorted((DOCS / "gallery").glob("*.py")):
        calls = set(re.findall(r"\brefot\.(\w+)\(", example.read_text(encoding="utf-8")))
        found[f"gallery/{example.stem}"] = calls
    return found


def used_in(name: str) -> list[str]:
    """The pages whose examples use a function."""
    return [page for page, names in imported().items() if name in names]


def as_rst(lines: list[str]) -> list[str]:
    """A plain-text docstring as reStructuredText: paragraphs, lists, and blocks as they are."""
    result: list[str] = []
    before = "text"
    for line in lines:
        kind = kind_of(line, before)
        if kind != before:
            result += ["", "::", ""] if kind == "block" else [""]
        result.append(line if kind == "block" else marked(line))
        before = kind
    return result


def kind_of(line: str, before: str) -> str:
    """Whether a line is of a paragraph, a list, or a block of code or formulas."""
    if not line.strip():
        return before
    if line.startswith("- ") or (before == "list" and line.startswith("  ")):
        return "list"
    if line.startswith("    ") or (before == "block" and line.startswith("  ")):
        return "block"
    return "text"


def marked(line: str) -> str:
    """One line of prose: code in double backticks, equations and errata as links."""
    start = re.match(r"(- )?\s*", line)
    assert start is not None
    parts = re.split(r"`([^`]+)`", line[start.end():])
    for k, part in enumerate(parts):
        if k % 2:
            parts[k] = rf"\ ``{part}``\ "
        else:
            text = SPECIAL.sub(r"\\\1", part.replace("`", r"\`"))
            text = EQUATION.sub(linked, text)
            text = PAGE.sub(r"\\ :doc:`/\1`\\ ", text)
            parts[k] = ERRATUM.sub(
                lambda found: f"{found[0].split()[0]} :ref:`{found[1]} <erratum-{found[1]}>`", text)
    return start[0] + "".join(parts)


def linked(found: re.Match[str]) -> str:
    """An equation's number as a link, where the register has it."""
    page = pages().get(found[1])
    return rf"\ :doc:`{found[1]} </equations/{page}>`\ " if page else found[0]


def process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring in place, and add what the register knows about the function."""
    lines[:] = as_rst(lines)
    pages = used_in(name.rpartition(".")[2]) if what in ("function", "class") else []
    if name.startswith(("refot.torch.", "refot.jax.")):  # refot has functions of the same names
        pages = [page for page in pages if page == "torch"]
    if pages:
        lines += ["", "*Used in* " + ", ".join(f":doc:`/{page}`" for page in pages[:6]) + ".", ""]
    found = rows_of().get(name, []) if what in ("function", "method", "class") else []
    if not found:
        return
    links = ", ".join(f":doc:`{', '.join(row.names)} </equations/{row.slug}>`" for row in found)
    held = ", ".join(f":ref:`{row.names[0]} <tests-{row.slug}>`" for row in found)
    lines += ["", f"**Equations and source:** {links}. **Tests:** {held}.", ""]
    first = found[0]
    if what == "function" and len(functions(first)) and canonical(functions(first)[0]) == name:
        lines += ["", ".. math::", "", "   " + notes()[first.work, first.labels[0]].discrete, ""]


def short_names(app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None,
                returns: str | None) -> tuple[str | None, str | None]:
    """Names of types as they stand in the code, also where they are parts of a union."""
    def short(text: str | None) -> str | None:
        return text and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text)

    return short(signature), short(returns)


def setup(app: Any) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    app.connect("autodoc-process-signature", short_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
