"""Small SVG pictures whose data change with a slider.

A figure is a fixed part (axes, legend), layers that change, and frames. A frame holds one text for
each layer: the points of a line, the path of some dots, the shades of a table's cells. The page
contains the picture of one frame as it is, so that it is there without scripts, and the others as
data for static/figures.js.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

SHADES = "0123456789abcdefghijklmnopqrstuvwxyz"
WIDTH, HEIGHT = 440, 280

Numbers = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Axes:
    """A rectangle of the picture with its coordinates. `log` says which axes are logarithmic."""

    x: tuple[float, float]
    y: tuple[float, float]
    labels: tuple[str, str] = ("", "")
    ticks: tuple[Sequence[float], Sequence[float]] = ((), ())
    log: tuple[bool, bool] = (False, False)
    box: tuple[float, float, float, float] = (52, 12, 376, 226)  # left, top, width, height

    def at(self, x: Numbers, y: Numbers) -> list[tuple[float, float]]:
        """Where points are in the picture."""
        left, top, width, height = self.box
        u = share(np.asarray(x, float), self.x, self.log[0])
        v = share(np.asarray(y, float), self.y, self.log[1])
        return [(left + width * s, top + height * (1 - t)) for s, t in zip(u, v, strict=True)]

    def line(self, x: Numbers, y: Numbers) -> str:
        """The `points` of a line. It ends where it leaves the rectangle for good; in between, what
        is outside is drawn at the edge."""
        low, high = self.y
        seen = np.flatnonzero((np.asarray(y) >= low) & (np.asarray(y) <= high))
        shown = slice(max(seen[0] - 1, 0), seen[-1] + 2) if len(seen) else slice(0, 0)
        return " ".join(f"{s:.1f},{t:.1f}" for s, t in self.at(x[shown], y[shown]))

    def dots(self, x: Numbers, y: Numbers) -> str:
        """The path of dots: strokes of no length with round ends."""
        return "".join(f"M{s:.1f} {t:.1f}h0" for s, t in self.at(x, y))

    def drawn(self) -> str:
        """The frame, the ticks and the names of the axes."""
        left, top, width, height = self.box
        parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" class="axes"/>']
        for value in self.ticks[0]:
            (s, _), = self.at([value], [self.y[0]])
            parts.append(f'<path d="M{s:.1f} {top + height}v4" class="tick"/>'
                         f'<text x="{s:.1f}" y="{top + height + 16}" class="middle">{value:g}'
                         '</text>')
        for value in self.ticks[1]:
            (_, t), = self.at([self.x[0]], [value])
            parts.append(f'<path d="M{left - 4} {t:.1f}h4" class="tick"/>'
                         f'<text x="{left - 7}" y="{t + 4:.1f}" class="end">{value:g}</text>')
        parts.append(f'<text x="{left + width / 2}" y="{top + height + 33}" class="middle">'
                     f'{escape(self.labels[0])}</text>')
        parts.append(f'<text x="{left + 6}" y="{top + 14}">{escape(self.labels[1])}</text>')
        return "".join(parts)


def share(values: np.ndarray, ends: tuple[float, float], log: bool) -> np.ndarray:
    """How far along an axis values are, from 0 to 1; what lies beyond an end is put there."""
    low, high = ends
    if log:
        values, low, high = np.log(np.maximum(values, 1e-300)), np.log(low), np.log(high)
    return np.clip((values - low) / (high - low), 0, 1)


def shades(matrix: np.ndarray, most: float | None = None) -> str:
    """The entries of a matrix, row by row, as letters from 0 to z; the largest is z."""
    top = (most or matrix.max()) or 1
    return "".join(SHADES[k] for k in np.clip(35 * matrix / top, 0, 35).round().astype(int).ravel())


@dataclass(frozen=True)
class Layer:
    """Something that changes: `kind` is "line", "dots", "cells" or "text"."""

    name: str
    kind: str
    style: str = ""
    legend: str = ""
    rows: int = 0
    columns: int = 0
    box: tuple[float, float, float, float] = (0, 0, 0, 0)

    def drawn(self, value: str) -> str:
        """The layer with the value of one frame."""
        mark = f'data-k="{self.name}" class="{self.style}"'
        if self.kind == "line":
            return f'<polyline {mark} points="{value}"/>'
        if self.kind == "dots":
            return f'<path {mark} d="{value}"/>'
        left, top, width, height = self.box
        if self.kind == "text":
            return f'<text {mark} x="{left}" y="{top}">{escape(value)}</text>'
        w, h = width / self.columns, height / self.rows
        cells = "".join(
            f'<path d="M{left + w * (k % self.columns):.0f} {top + h * (k // self.columns):.0f}'
            f'h{w:.1f}v{h:.1f}h-{w:.1f}" fill-opacity="{SHADES.index(letter) / 35:.2g}"/>'
            for k, letter in enumerate(value))
        return f"<g {mark}>{cells}</g>"


@dataclass(frozen=True)
class Frame:
    """One position of the slider: its name ("eps = 0.5"), what to read, a value for each layer."""

    label: str
    reading: str
    values: dict[str, str]


@dataclass(frozen=True)
class Figure:
    """A picture with a slider."""

    title: str
    caption: str
    axes: tuple[Axes, ...]
    layers: tuple[Layer, ...]
    frames: tuple[Frame, ...]
    start: int
    fixed: str = ""

    def svg(self) -> str:
        """The picture of the frame `start`."""
        at = self.frames[self.start]
        parts = [axes.drawn() for axes in self.axes] + [self.fixed]
        parts += [layer.drawn(at.values[layer.name]) for layer in self.layers]
        parts.append(self.legend())
        return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
                f'aria-label="{escape(self.title)}">{"".join(parts)}</svg>')

    def legend(self) -> str:
        """The names of the lines and dots, in the upper right corner."""
        named = [layer for layer in self.layers if layer.legend]
        parts = []
        for k, layer in enumerate(named):
            y = 28 + 17 * k
            sample = (f'<path d="M292 {y - 4}h22" class="{layer.style}"/>' if layer.kind == "line"
                      else f'<path d="M303 {y - 4}h0" class="{layer.style}"/>')
            parts.append(f'{sample}<text x="320" y="{y}">{escape(layer.legend)}</text>')
        return "".join(parts)

    def html(self) -> str:
        """The figure as a page contains it."""
        at = self.frames[self.start]
        data = [[frame.label, frame.reading, frame.values] for frame in self.frames]
        return (f'<figure class="play" data-start="{self.start}">{self.svg()}'
                f'<p class="reading"><b>{escape(at.label)}</b> '
                f'<span>{escape(at.reading)}</span></p>'
                f'<figcaption>{escape(self.caption)}</figcaption>'
                f'<script type="application/json">{json.dumps(data, separators=(",", ":"))}'
                f'</script></figure>')

    def as_markdown(self) -> str:
        """The figure in a page of Markdown."""
        return f"```{{raw}} html\n{self.html()}\n```"
