"""Draw the figures of the docs anew, here: run the Python blocks of each page that saves one.

    python docs/figures/draw.py                 every page
    python docs/figures/draw.py limits          docs/limits.md
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

FIGURES = Path(__file__).resolve().parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def draw(page: Path) -> None:
    """The blocks of the page, in order, in one namespace; they save into the working folder."""
    namespace: dict[str, object] = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, page.name, "exec"), namespace)


if __name__ == "__main__":
    asked = [FIGURES.parent / f"{name}.md" for name in sys.argv[1:]]
    os.chdir(FIGURES)
    for page in asked or sorted(FIGURES.parent.glob("*.md")):
        if "save_figure(" in page.read_text(encoding="utf-8"):
            draw(page)
