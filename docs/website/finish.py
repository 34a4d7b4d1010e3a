"""What is done to the built site: the font of formulas, and a check of every link."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fontTools import subset
from fontTools.ttLib import TTFont

from website.tables import with_cards


def font_file() -> Path:
    """STIX Two Math, which the package ziamath brings; the package itself is not used."""
    found = find_spec("ziamath")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("the font of formulas is missing: pip install '.[docs]'")
    return Path(found.origin).parent / "fonts" / "STIXTwoMath-Regular.ttf"


RANGES = [(0x20, 0x17F), (0x2B0, 0x36F), (0x370, 0x3FF), (0x2010, 0x2063), (0x2070, 0x209F),
          (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2308, 0x230F),
          (0x2329, 0x232A), (0x266D, 0x266F), (0x27E6, 0x27EF), (0x2A00, 0x2AFF),
          (0x1D400, 0x1D7FF)]
"""The characters that formulas use: letters, Greek, operators, arrows, mathematical alphabets."""


ACCESSIBLE = {
    '<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
    '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
    ' role="doc-biblioentry"': "",
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
}
"""What the theme leaves out, or gets wrong, for readers without a mouse or a screen: the level of a
heading, the name of the sidebar, blocks of code and tables that the keyboard can reach and scroll,
and roles that are not allowed."""


def finish(out: Path) -> None:
    """Complete the pages and write the font of formulas."""
    for path in out.rglob("*.html"):
        text = before = path.read_text(encoding="utf-8")
        for old, new in ACCESSIBLE.items():
            text = text.replace(old, new)
        text = with_cards(text) if 'role="table"' not in text else text
        if text != before:
            path.write_text(text, encoding="utf-8")
    write_font(out)


def write_font(out: Path) -> None:
    """STIX Two Math, with the characters that formulas use, as a web font."""
    target = out / "_static" / "math.woff"
    if target.exists():
        return
    font = TTFont(font_file())
    options = subset.Options(layout_features=["*"], flavor="woff", notdef_outline=True)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
    cut.subset(font)
    font.flavor = "woff"
    font.save(target)


# ------------------------------------------------------------------ links
TAG = re.compile(r"<[a-z][^<>]*>")
ATTRIBUTE = re.compile(r'\s(id|name|href|src|rel)="([^"]*)"')
PAGE_TO_PAGE = {"search", "index", "next", "prev"}
"""The `rel` of a link in the head of a page that loads nothing."""


@dataclass(frozen=True)
class Page:
    """What a page refers to, what it loads, and the anchors it has."""

    links: list[str]
    loads: list[str]
    anchors: set[str]


def parsed(path: Path) -> Page:
    """The references of a page, out of its tags."""
    page = Page([], [], set())
    for tag in TAG.findall(path.read_text(encoding="utf-8")):
        said = dict(ATTRIBUTE.findall(tag))
        page.anchors.update({said[key] for key in ("id", "name") if key in said})
        if "src" in said:
            page.loads.append(unescape(said["src"]))
        if "href" in said:
            loads = tag.startswith("<link") and said.get("rel") not in PAGE_TO_PAGE
            (page.loads if loads else page.links).append(unescape(said["href"]))
    return page


def check(out: Path) -> Iterator[str]:
    """Every link that leads nowhere, and everything that would be loaded from elsewhere."""
    out = out.resolve()
    pages = {str(path): parsed(path) for path in sorted(out.rglob("*.html"))}
    for name, page in pages.items():
        here, folder = os.path.relpath(name, out), os.path.dirname(name)
        for target in {*page.links, *page.loads}:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.loads and parts.scheme != "data":
                    yield f"{here}: loads {target}"
                continue
            goal = os.path.normpath(os.path.join(folder, unquote(parts.path))) \
                if parts.path else name
            if goal not in pages and not os.path.isfile(goal):
                yield f"{here}: no file {target}"
            elif parts.fragment and goal in pages and (
                    unquote(parts.fragment) not in pages[goal].anchors):
                yield f"{here}: no anchor {target}"
