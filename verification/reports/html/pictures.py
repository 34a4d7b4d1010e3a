"""Pictures of a report as inline SVG: a measured value against its interval, errors against x,
and what grows with n.

Colours and strokes are classes of templates/report.css, so that both colour schemes have their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from .elements import tag

THINNEST = 3.0
"""The least width of a drawn interval, in units of the picture. Most intervals are so narrow that
they could not be seen at their own width."""


# ------------------------------------------------------------------ one value
def interval_picture(
    measured: float, expected: tuple[float, float] | None, tolerance: float, title: str
) -> Element:
    """The interval, the tolerance on either side of it, and the measured value as a line.

    Its scale fits these three. A measured value that is not a finite number is written, not drawn.
    """
    width, height, margin = 240.0, 34.0, 12.0
    drawing = [tag("title", title)]
    if expected is None or not all(map(math.isfinite, (*expected, measured, tolerance))):
        drawing.append(_text(width / 2, height / 2 + 4, f"measured: {measured:.6g}", "middle"))
        return _svg(width, height, "interval", drawing)
    low, high = expected
    left = min(low - tolerance, measured)
    right = max(high + tolerance, measured)
    unit = (width - 2 * margin) / ((right - left) or 1.0)

    def bar(start: float, end: float, top: float, tall: float, kind: str) -> Element:
        middle, wide = (start + end) / 2 - left, max((end - start) * unit, THINNEST)
        return tag("rect", x=_px(margin + middle * unit - wide / 2), y=_px(top), width=_px(wide),
                   height=_px(tall), class_=kind)

    at = _px(margin + (measured - left) * unit)
    drawing += [
        tag("line", x1="0", x2=_px(width), y1=_px(height / 2), y2=_px(height / 2), class_="axis"),
        bar(low - tolerance, high + tolerance, 7, 20, "allowed"),
        bar(low, high, 11, 12, "certified"),
        tag("line", x1=at, x2=at, y1="2", y2=_px(height - 2), class_="measured"),
    ]
    return _svg(width, height, "interval", drawing)


# ------------------------------------------------------------------ many errors
@dataclass(frozen=True)
class Point:
    """An error divided by what is allowed, at x > 0; drawn as a dot if it `passed`, else a
    cross."""

    x: float
    error: float
    passed: bool
    name: str


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis: decades from `low` to `high` drawn from `start` to `end`."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value; 0, and values beyond the axis, are drawn at its ends."""
        if not value < math.inf:  # NaN and infinity are drawn at the far end
            return self.end
        decade = math.log10(value) if value > 0 else -math.inf
        share = (min(max(decade, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> range:
        """The decades that are labelled: at most seven, at least 24 units apart."""
        most = min(6, int(abs(self.end - self.start) / 24))
        return range(self.low, self.high + 1, max(1, math.ceil((self.high - self.low) / most)))


def error_picture(points: list[Point], label: str) -> Element:
    """Error / allowed against x, both logarithmic; the line is at 1, above which a check fails.

    Points on one spot are drawn as one mark: a cross if any of them failed.
    """
    width, height = 380.0, 230.0
    across = _spanning([point.x for point in points], 52, width - 14)
    up = Axis(-6, 6, height - 44, 12)
    one = _px(up.at(1))
    drawing = [*_frame(across, up, label, "error / allowed", height)]
    drawing.append(tag("line", x1=_px(across.start), x2=_px(across.end), y1=one, y2=one,
                       class_="limit"))
    spots: dict[tuple[float, float], list[Point]] = {}
    for point in points:
        spots.setdefault((round(across.at(point.x)), round(up.at(point.error))), []).append(point)
    on_top_last = sorted(spots.items(), key=lambda spot: not all(p.passed for p in spot[1]))
    drawing += [_mark(*place, here) for place, here in on_top_last]
    return _svg(width, height, "errors", drawing)


def growth_picture(
    curves: dict[str, list[tuple[float, float]]], own: str, label: str, what: str
) -> Element:
    """The curve named `own` through points (x, y) > 0, both logarithmic; the other curves are pale.

    The axes span all curves, so that pictures of different curves can be compared.
    """
    width, height = 170.0, 130.0
    across, up = (_spanning([point[k] for curve in curves.values() for point in curve], *ends)
                  for k, ends in enumerate(((48, width - 10), (height - 36, 8))))
    drawing = [*_frame(across, up, label, what, height)]
    places = {name: [(_px(across.at(x)), _px(up.at(y))) for x, y in curve]
              for name, curve in curves.items()}
    for name in sorted(curves, key=lambda name: name == own):  # `own` is drawn last
        drawing.append(tag("polyline", points=" ".join(",".join(place) for place in places[name]),
                           class_="curve" if name == own else "other"))
    drawing += [tag("circle", cx=x, cy=y, r="2.5", class_="size") for x, y in places[own]]
    return _svg(width, height, "growth", drawing)


def _spanning(values: list[float], start: float, end: float) -> Axis:
    """The axis of whole decades that holds the values."""
    decades = [math.log10(value) for value in values]
    low, high = math.floor(min(decades)), math.ceil(max(decades))
    return Axis(low, max(high, low + 1), start, end)


def _frame(across: Axis, up: Axis, label: str, what: str, height: float) -> Iterable[Element]:
    """The title, the grid, and the labels of both axes."""
    yield tag("title", f"{what} against {label}")
    yield from _grid(across, up)
    yield _text((across.start + across.end) / 2, height - 6, label, "middle")
    yield tag("text", what, class_="label", text_anchor="middle",
              transform=f"translate(11 {_px((up.start + up.end) / 2)}) rotate(-90)")


def _grid(across: Axis, up: Axis) -> Iterable[Element]:
    for decade in across.ticks:
        x = across.at(10.0**decade)
        yield tag("line", x1=_px(x), x2=_px(x), y1=_px(up.start), y2=_px(up.end), class_="grid")
        yield _text(x, up.start + 15, _power(decade), "middle")
    for decade in up.ticks:
        y = up.at(10.0**decade)
        yield tag("line", x1=_px(across.start), x2=_px(across.end), y1=_px(y), y2=_px(y),
                  class_="grid")
        yield _text(across.start - 5, y + 4, _power(decade), "end")


def _mark(x: float, y: float, here: list[Point]) -> Element:
    """A dot if all checks here passed; else a cross with the names of those that failed."""
    failed = [point for point in here if not point.passed]
    if not failed:
        return tag("circle", cx=_px(x), cy=_px(y), r="3", class_="passed")
    more = f" and {len(failed) - 3} others" if len(failed) > 3 else ""
    names = ", ".join(point.name for point in failed[:3]) + more
    cross = f"M{_px(x - 4)} {_px(y - 4)}l8 8m0 -8l-8 8"
    return tag("path", tag("title", names), d=cross, class_="failed")


# ------------------------------------------------------------------ parts
def _svg(width: float, height: float, kind: str, drawing: list[Element]) -> Element:
    return tag("svg", *drawing, viewBox=f"0 0 {_px(width)} {_px(height)}", role="img", class_=kind)


def _text(x: float, y: float, words: str, anchor: str) -> Element:
    return tag("text", words, x=_px(x), y=_px(y), text_anchor=anchor, class_="label")


def _power(decade: int) -> str:
    return {0: "1", 1: "10"}.get(decade, f"1e{decade}")


def _px(value: float) -> str:
    return f"{value:.4g}"
