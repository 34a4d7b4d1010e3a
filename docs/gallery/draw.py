"""Draw the pictures of the gallery anew, into docs/gallery/pictures.

    python docs/gallery/draw.py                    every example
    python docs/gallery/draw.py colour_transfer    one of them

Beside the picture of an example lies what it prints. The website shows both, so that it can be
built without PyTorch, JAX and scikit-learn.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
COLOURS = 64
"""Colours of a picture: a third of the size of one with all."""


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
    _, printed = run(name, PICTURES)
    (PICTURES / f"{name}.txt").write_text(printed, encoding="utf-8")
    path = PICTURES / f"{name}.png"
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    for example in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.py")
                                          if path.stem not in ("compare", "draw", "lines")):
        draw(example)
