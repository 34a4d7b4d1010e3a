"""One style for the pictures of the docs: SVG that follows a page from light into dark.

    with styled():
        figure = ...                     # as usual, with the colours of refot.plots.figures
        save_figure(figure, "a.svg")
    themed(Path("a.svg"))

A picture is as wide as a telephone shows without shrinking it much, so that its text of 9.5 to 11
points stays readable. Its colours become variables: beside a page of the website those of the
page, elsewhere its own.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl

from refot.plots.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY

INK = "#010101"
"""Stands for the colour of text until `themed` replaces it. Pure black would not be written."""

STYLE: dict[str, Any] = {
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK,
    "ytick.color": INK, "axes.facecolor": "none", "figure.facecolor": "none",
    "savefig.facecolor": "none", "legend.facecolor": "none", "legend.edgecolor": "none",
    "legend.framealpha": 0, "axes.titlesize": 11, "axes.labelsize": 10.5, "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5, "legend.fontsize": 9.5, "lines.linewidth": 1.6, "axes.linewidth": 0.8,
    "svg.hashsalt": "refot",  # the names inside the file are the same each time it is drawn
}

LIGHT = {BLUE: "one", ORANGE: "two", GREEN: "three", PURPLE: "four", SKY: "five"}
"""The variables that stand for colours. site.css gives them values, and ALONE does elsewhere."""

FAINT = {"#e0e0e0": 0.14, "#ebebeb": 0.12, "#cccccc": 0.35, "#bfbfbf": 0.4, "#b2b2b2": 0.45,
         "#999999": 0.5}
"""Greys between text and background, as the opacity of the ink: areas, grids, data, links."""

ALONE = """<style id="alone">
svg { color: #1f2328; --one: #0072b2; --two: #d55e00; --three: #009e73; --four: #b0588a;
      --five: #2b8cc4; }
@media (prefers-color-scheme: dark) { svg { color: #e6edf3; --one: #56b4e9; --two: #e69f00;
      --three: #2bc49a; --four: #e3a3c6; --five: #9fd4f5; } }
</style>"""
"""The colours of a picture that is shown outside a page of the website."""


def styled() -> AbstractContextManager[None]:
    """Figures that are made and saved inside have the style of the docs."""
    return mpl.rc_context(STYLE)


def themed(path: Path) -> None:
    """Rewrite an SVG file: its colours become variables, it carries no date, and places are kept to
    a hundredth of a point."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    for colour, name in LIGHT.items():
        text = text.replace(colour.lower(), f"var(--{name})")
    for grey, share in FAINT.items():
        text = re.sub(rf"(fill|stroke): {grey}", rf"\1: currentColor; \1-opacity: {share}", text)
    text = re.sub(f"{INK}|{BLACK}", "currentColor", text)
    text = re.sub(r"(?<![\d.])[1-9]\d*\.\d{3,}", lambda found: f"{float(found[0]):.2f}", text)
    path.write_text(re.sub(r"(<svg[^>]*>)", rf"\1\n{ALONE}", text, count=1), encoding="utf-8")
