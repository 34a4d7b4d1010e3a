"""The pages of the gallery: one for each example, with its picture, its output and its code.

Pictures and output come from docs/gallery/pictures, where docs/gallery/draw.py has put them, so
that the site can be built without the packages that examples need. The tests run the examples, and
compare the output.
"""

from __future__ import annotations

import ast
import re
from functools import cache

from website.docstrings import rows_of
from website.names import canonical
from website.register import DOCS
from website.stills import figure

GALLERY = DOCS / "gallery"
PEERS = {"pot": "POT", "ott": "OTT-JAX", "geomloss": "GeomLoss"}
OWN_PAGES = {"refot.torch": "torch", "refot.jax": "torch", "refot.sklearn": "scikit-learn"}
"""Where modules are described that cannot be imported without another package."""

ENTRY = re.compile(r"^\[!\[(?P<title>[^\]]+)\]\(gallery/pictures/(?P<name>\w+)\.svg\)\]\(\S+\)\n"
                   r"\[[^\]]+\]\(\S+\): (?P<said>.+)\n", re.MULTILINE)
"""A picture in docs/gallery.md, and the sentence below it."""


@cache
def entries() -> dict[str, tuple[str, str]]:
    """Title and sentence of each example by its name, in the order of docs/gallery.md."""
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    return {found["name"]: (found["title"], found["said"]) for found in ENTRY.finditer(text)}


def gallery_pages(index: str) -> dict[str, str]:
    """The pages by name, without the suffix; `index` is the text of docs/gallery.md."""
    return {"gallery": with_cards(index),
            **{f"gallery/{name}": example_page(name) for name in entries()}}


def with_cards(index: str) -> str:
    """The page of the whole gallery, its list of pictures as a grid."""
    first = next(line for line in index.splitlines() if line.startswith("[!["))
    before, after = index.split(first, 1)
    rest = after.partition("\n## ")
    cards = "\n".join(
        f":::{{grid-item-card}} {title}\n:link: gallery/{name}\n:link-type: doc\n\n"
        f"{picture(name)}\n\n{said}\n:::"
        for name, (title, said) in entries().items())
    hidden = "\n".join(f"gallery/{name}" for name in entries())
    grid = f"::::{{grid}} 1 2 3 3\n:gutter: 3\n:class-container: gallery\n\n{cards}\n::::\n"
    return (f"{before}{grid}"
            f"{rest[1]}{rest[2]}\n```{{toctree}}\n:hidden:\n\n{hidden}\n```\n")


def example_page(name: str) -> str:
    """What an example is about, its picture, what it prints, its code, and the code elsewhere."""
    text = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
    title, said = entries()[name]
    prose = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[2]
    printed = (GALLERY / "pictures" / f"{name}.txt").read_text(encoding="utf-8")
    return "\n\n".join([
        f"# {title}", f"*{said[0].upper()}{said[1:]}*", prose,
        picture(name),
        f"It prints\n\n```text\n{printed}```",
        "## The code", f"`docs/gallery/{name}.py`", f"```python\n{without_docstring(text)}```",
        *elsewhere(name), "## What it uses", uses(text)]) + "\n"


def picture(name: str) -> str:
    """What the example draws, in the page, whose colours it takes."""
    return figure(GALLERY / "pictures" / f"{name}.svg", entries()[name][1])


def without_docstring(text: str) -> str:
    """The code of a file below its docstring."""
    return text.split('"""\n', 1)[1].lstrip("\n")


# ------------------------------------------------------------------ the same task elsewhere
def elsewhere(name: str) -> list[str]:
    """The task in other libraries, folded."""
    path = GALLERY / "peers" / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    known = {node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    able = ", ".join(title for who, title in PEERS.items() if who in known)
    return ["## The same in other libraries",
            "What `transport` does there; lines and times are counted in "
            "[the gallery](../gallery.md).",
            f":::{{dropdown}} {able}\n```python\n{without_docstring(text)}```\n:::"]


# ------------------------------------------------------------------ what it uses
def uses(text: str) -> str:
    """A list of the functions of refot in the code, with links to their pages and equations."""
    return "\n".join(f"- {described(module, name)}" for module, name in sorted(names(text)))


def names(text: str) -> set[tuple[str, str]]:
    """Module and name of everything of refot that the code uses, but for the choice of a backend.
    """
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("refot"):
            found |= {(str(node.module), alias.name) for alias in node.names}
        elif (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
              and node.value.id == "refot"):
            found.add(("refot", node.attr))
        elif isinstance(node, ast.Attribute) and node.attr in ANSWERS:
            found.add(("result", node.attr))
        elif isinstance(node, ast.keyword) and node.arg == "rho":
            found.add(("refot", UNBALANCED))
    if ("refot", UNBALANCED) in found:
        found.discard(("refot", "solve"))
    return found - {("refot", "use_backend")}


UNBALANCED = "solve with rho"
"""A solve of unbalanced transport, which is another equation than that of `refot.solve` alone."""


ANSWERS = ("transform", "plan", "barycentric_map", "matching", "certificate", "transport_cost")
"""Methods of a result that examples use."""


def described(module: str, name: str) -> str:
    """One function, and where to read about it."""
    if module == "result":
        return f"`{name}()` of [a result](../solutions.md)"
    if name == UNBALANCED:
        return (f"{{py:obj}}`refot.solve <{canonical('refot.solve')}>` with `rho`, equation "
                "[U-1](../equations/u-1.md): "
                "[how to choose rho](../unbalanced.md#how-to-choose-rho)")
    if module in OWN_PAGES:
        return f"[`{module}.{name}`](../{OWN_PAGES[module]}.md)"
    full = canonical(f"{module}.{name}")
    rows = ", ".join(f"[{row.names[0]}](../equations/{row.slug}.md)"
                     for row in rows_of().get(full, []))
    return f"{{py:obj}}`{module}.{name} <{full}>`" + (f", equation {rows}" if rows else "")
