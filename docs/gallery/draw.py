"""Draw the pictures of the gallery anew, into docs/gallery/pictures.

    python docs/gallery/draw.py                    every example
    python docs/gallery/draw.py colour_transfer    one of them

Beside the picture of an example lies what it prints. The website shows both, so that it can be
built without PyTorch, JAX and scikit-learn. An example writes a PNG for its user; the same figure
is kept here as an SVG in the style of the docs, which follows a page into the dark.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
MANY = 300
"""Lines of one panel, or points of one cloud."""


def run(name: str, folder: Path) -> tuple[dict[str, Any], str]:
    """Run an example as a reader does, in a folder, where it writes its picture. What it defines,
    and what it prints."""
    printed, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(printed):
            defined = runpy.run_path(str(HERE / f"{name}.py"), run_name="__main__")
    finally:
        os.chdir(before)
    return defined, printed.getvalue()


def draw(name: str) -> None:
    """The picture and the text of an example."""
    from figures.style import styled, themed
    from matplotlib import pyplot as plt

    path = PICTURES / f"{name}.svg"
    with styled(), tempfile.TemporaryDirectory() as folder:
        _, printed = run(name, Path(folder))
        save(plt.gcf(), path)
        plt.close("all")
    themed(path)
    (PICTURES / f"{name}.txt").write_text(printed, encoding="utf-8")


def save(figure: Any, path: Path) -> None:
    """The figure as SVG. Many lines or points become an image in it, which is smaller."""
    for axes in figure.axes:
        clouds = [each for each in axes.collections if len(each.get_offsets()) > MANY]
        for artist in [*clouds, *(axes.lines if len(axes.lines) > MANY else [])]:
            artist.set_rasterized(True)
    figure.savefig(path, dpi=200)


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    PICTURES.mkdir(exist_ok=True)
    for example in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py")
                                          if path.stem not in ("compare", "draw", "lines")):
        draw(example)
