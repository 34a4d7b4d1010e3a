"""The API reference: one page for each module that users import, from its docstrings."""

from __future__ import annotations

import importlib
import inspect
from functools import cache
from importlib.util import find_spec
from textwrap import indent

from sessions import BLOCK

import refot
from refot.solvers.answers.answers import Answers
from website.names import canonical, functions
from website.register import DOCS, register

ALSO = ["refot.conventions.convert", "refot.conventions.terms", "refot.conventions.potentials",
        "refot.printed", "refot.limits", "refot.semidiscrete", "refot.entropic",
        "refot.datasets.scikit", "refot.datasets.gaussians", "refot.networks.layers",
        "refot.plots.figures", "refot.systems.registry",
        "refot.verification.certificates.certify", "refot.verification.subjects.loading",
        "refot.verification.runs.run"]
"""Modules that the documentation imports from, beyond those of `refot` and of the register."""

LOSSES = {"refot.torch": ("torch", "Batches and second derivatives"),
          "refot.jax": ("jax", "JAX")}
"""Packages whose names are imported from the package itself: what they need to be imported, and the
heading of docs/torch.md under which their examples stand."""


@cache
def modules() -> list[str]:
    """All modules of the reference: those of `refot.__all__`, of the register, and ALSO."""
    face = {getattr(refot, name).__module__ for name in refot.__all__}
    named = {module_of(canonical(name)) for row in register() for name in functions(row)}
    found = face | named | set(ALSO)
    return sorted(name for name in found if members(name))


def module_of(name: str) -> str:
    """The longest part of a full name that is a module."""
    parts = name.split(".")
    for k in range(len(parts) - 1, 0, -1):
        try:
            return importlib.import_module(".".join(parts[:k])).__name__
        except ModuleNotFoundError:
            continue
    raise LookupError(name)


@cache
def members(module: str) -> list[tuple[str, str]]:
    """The public functions and classes that a module defines: (kind, name), as they stand."""
    found = []
    for name, thing in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(thing, "__module__", "") != module:
            continue
        if inspect.isclass(thing):
            kind = "exception" if issubclass(thing, Exception) else "class"
            found.append((kind, name))
        elif inspect.isfunction(thing):
            found.append(("function", name))
    return found


def api_pages() -> dict[str, str]:
    """The pages by name, without the suffix: "api/refot.objectives"."""
    pages = {f"api/{module}": module_page(module) for module in modules()}
    pages |= {f"api/{package}": losses_page(package) for package in LOSSES}
    return pages | {"api/index": index_page()}


def module_page(module: str) -> str:
    """One module: its docstring, then its functions and classes."""
    parts = [f"{module}\n{'=' * len(module)}", f".. automodule:: {module}"]
    for kind, name in members(module):
        options = "" if kind == "function" else "\n   :members:"
        if is_a_result(getattr(importlib.import_module(module), name)):
            options += "\n   :inherited-members:"
        parts.append(f".. auto{kind}:: {module}.{name}{options}")
    return "\n\n".join(parts) + "\n"


def losses_page(package: str) -> str:
    """The losses of a package: examples that run, and what it offers. Where the library that it
    needs is not installed, its docstrings cannot be read."""
    library, heading = LOSSES[package]
    examples = section((DOCS / "torch.md").read_text(encoding="utf-8"), heading)
    parts = [f"{package}\n{'=' * len(package)}",
             f"``pip install {library}`` beside refot. Examples of :doc:`/torch`, which says what "
             "holds for all of these losses:"]
    parts += [".. code-block:: python\n\n" + indent(found["text"], "   ")
              for found in BLOCK.finditer(examples)]
    if find_spec(library) is None:
        return "\n\n".join([*parts, f"The functions are listed where {library} is installed when "
                             "the site is built.\n"])
    parts.append(f".. automodule:: {package}")
    for name in importlib.import_module(package).__all__:
        thing = getattr(importlib.import_module(package), name)
        kind, members = ("class", "\n   :members:\n   :inherited-members: Module") \
            if inspect.isclass(thing) else ("function", "")
        if inspect.isclass(thing) and issubclass(thing, tuple):
            members = ""  # its docstring says what its fields are
        parts.append(f".. auto{kind}:: {package}.{name}{members}")
    return "\n\n".join(parts) + "\n"


def section(page: str, heading: str) -> str:
    """What stands below a heading of the second level."""
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def is_a_result(thing: object) -> bool:
    """Whether it is a result of a solve: what it answers stands in `Answers`, for all of them."""
    return inspect.isclass(thing) and issubclass(thing, Answers)


def index_page() -> str:
    """What `import refot` offers, and all modules."""
    title = "API reference"
    parts = [title, "=" * len(title), "",
             "What ``import refot`` offers, in alphabetical order; and, in the sidebar, every",
             "module that users import from.", "", ".. list-table::", "   :widths: 40 60", ""]
    for name in refot.__all__:
        thing = getattr(refot, name)
        first = (inspect.getdoc(thing) or "").split("\n")[0].replace("``", "`")
        full = f"{thing.__module__}.{thing.__qualname__}"
        parts += [f"   * - :py:obj:`{name} <{full}>`", f"     - {plain(first)}"]
    pages = sorted([*modules(), *LOSSES])
    parts += ["", ".. toctree::", "   :hidden:", "", *(f"   {name}" for name in pages)]
    return "\n".join(parts) + "\n"


def plain(line: str) -> str:
    from website.docstrings import marked

    return marked(line)
