"""Draw the figures of the docs anew, here: run the Python blocks of each page that saves one.

    python docs/figures/draw.py                 every page
    python docs/figures/draw.py limits          docs/limits.md
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from style import styled, themed

FIGURES = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED = re.compile(r'"([\w-]+\.svg)"\)')


def draw(page: Path) -> None:
    """The blocks of the page, in order, in one namespace; they save into the working folder."""
    namespace: dict[str, object] = {}
    text = page.read_text(encoding="utf-8")
    with styled():
        for block in BLOCK.findall(text):
            exec(compile(block, page.name, "exec"), namespace)
    for name in SAVED.findall(text):
        themed(FIGURES / name)


if __name__ == "__main__":
    asked = [FIGURES.parent / f"{name}.md" for name in sys.argv[1:]]
    os.chdir(FIGURES)
    for page in asked or sorted(FIGURES.parent.glob("*.md")):
        if "save_figure(" in page.read_text(encoding="utf-8"):
            draw(page)
