"""Pictures that stand still: SVG files of docs/figures, written into the pages that show them.

Inside the page a picture takes its colours from there, so that it follows a switch from light to
dark. Beside the page, on GitHub or as a file, it has its own (docs/figures/style.py).
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

IMAGE = re.compile(r"^!\[(?P<alt>[^\]]*)\]\((?P<file>figures/[\w-]+\.svg)\)$", re.MULTILINE)
UNWANTED = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<style.*?</style>|"
                      r"(?<=<g) id=\"[^\"]*\"|(?<=<svg)[^>]*?(?= viewBox)", re.DOTALL)
"""What an SVG file has and its copy inside a page must not have: a head, styles that would hold for
the whole page, a size, and names of groups that the next picture uses again."""


def with_pictures(text: str, docs: Path) -> str:
    """A page of docs/ with its SVG pictures in it."""
    return IMAGE.sub(lambda found: figure(docs / found["file"], found["alt"]), text)


def figure(path: Path, alt: str) -> str:
    """A picture as HTML in Markdown. `alt` says in words what it shows."""
    svg = UNWANTED.sub("", path.read_text(encoding="utf-8"))
    svg = re.sub(r"\s*\n\s*", " ", svg).strip()
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
    return f'```{{raw}} html\n<figure class="still">{svg}</figure>\n```'
