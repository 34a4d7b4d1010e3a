"""What is done to the built site: the font of formulas, and a check of every link."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import ziamath
from fontTools import subset
from fontTools.ttLib import TTFont

FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
RANGES = [(0x20, 0x17F), (0x2B0, 0x36F), (0x370, 0x3FF), (0x2010, 0x2063), (0x2070, 0x209F),
          (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2308, 0x230F),
          (0x2329, 0x232A), (0x266D, 0x266F), (0x27E6, 0x27EF), (0x2A00, 0x2AFF),
          (0x1D400, 0x1D7FF)]
"""The characters that formulas use: letters, Greek, operators, arrows, mathematical alphabets."""


def finish(out: Path) -> None:
    """Write the font of formulas, STIX Two Math, with the characters that are used."""
    target = out / "_static" / "math.woff"
    if target.exists():
        return
    font = TTFont(FONT)
    options = subset.Options(layout_features=["*"], flavor="woff", notdef_outline=True)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=[code for first, last in RANGES for code in range(first, last + 1)])
    cut.subset(font)
    font.flavor = "woff"
    font.save(target)


# ------------------------------------------------------------------ links
class Page(HTMLParser):
    """What a page refers to, what it loads, and the anchors it has."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := said.get(key))}
        if tag == "a" and said.get("href"):
            self.links.append(said["href"] or "")
        loads_href = tag == "link" and said.get("rel") not in ("search", "index", "next", "prev")
        for key in ("src", "href" if loads_href else ""):
            if key and said.get(key):
                self.loads.append(said[key] or "")


def parsed(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def check(out: Path) -> Iterator[str]:
    """Every link that leads nowhere, and everything that would be loaded from elsewhere."""
    pages = {path.resolve(): parsed(path) for path in sorted(out.rglob("*.html"))}
    for path, page in pages.items():
        here = path.relative_to(out.resolve())
        for target in [*page.links, *page.loads]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if target in page.loads and parts.scheme != "data":
                    yield f"{here}: loads {target}"
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not goal.is_file():
                yield f"{here}: no file {target}"
            elif parts.fragment and goal in pages and not (
                    unquote(parts.fragment) in pages[goal].anchors):
                yield f"{here}: no anchor {target}"
