"""The badge of a library: an SVG picture, and the JSON that services for badges read.

The fields `schemaVersion`, `label`, `message` and `color` are those of the endpoint of shields.io.
"""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, tostring

from refot.verification.cases.case import Difficulty
from refot.verification.reports.html.elements import tag
from refot.verification.runs.levels import LEVELS, Level

from .record import Record
from .summary import WORDS, count, headline, offers

COLOURS = {Level.WRONG: "#b4232a", Level.SILENT: "#9a5b00", Level.SAID: "#6b6200",
           Level.RIGHT: "#18794e", Level.UNKNOWN: "#5b6670"}
"""The colour of the right half, dark enough for white letters."""

LETTER = 6.0
"""The average width of a letter of 11 px, in px."""

PADDING = 12.0
"""The space beside the text in each half, left and right together."""

HEIGHT = 20.0
"""The height of the badge, in px."""

LABEL = "refot"
"""The text in the left half."""


def message(record: Record) -> str:
    """The text in the right half, such as "value 69/69, 11.2 digits"."""
    offer = headline(record)
    if offer is None:
        return WORDS[Level.UNKNOWN]
    digits = offer.best.digits()
    said = f"{offer.capability} {offer.best.right}/{offer.best.asked}"
    return said if digits is None else f"{said}, {digits[0]:.1f} digits"


def colour(record: Record) -> str:
    """The colour of the worst level of the results that the badge is about."""
    offer = headline(record)
    return COLOURS[Level.UNKNOWN if offer is None else offer.best.level]


def endpoint(record: Record, page: str) -> dict[str, Any]:
    """The JSON of a library; `page` is the file with the evidence."""
    offer = headline(record)
    return {
        "schemaVersion": 1, "label": LABEL, "message": message(record),
        "color": colour(record).removeprefix("#"),
        "subject": {"name": record.name, "version": record.version},
        "refot": record.refot, "profile": record.profile,
        "part": None if offer is None else offer.best_part, "page": page,
        "levels": {level.value: count(record.results, level) for level in LEVELS},
        "capabilities": {
            name: {"part": each.best_part, "right": each.best.right, "asked": each.best.asked,
                   "digits": {at.value: {"worst": digits[0], "median": digits[1]}
                              for at in Difficulty if (digits := each.best.digits(at))},
                   "parts": len(each.cells), "parts_right": each.acceptable}
            for name, each in offers(record).items()},
    }


def badge(record: Record) -> Element:
    """The badge as an SVG element."""
    said = message(record)
    left, right = (LETTER * len(text) + PADDING for text in (LABEL, said))
    return tag(
        "svg", tag("title", f"{LABEL}: {said}"),
        tag("rect", width=f"{left + right:.1f}", height=f"{HEIGHT:g}", rx="3", fill="#363d44"),
        tag("rect", x=f"{left:.1f}", width=f"{right:.1f}", height=f"{HEIGHT:g}", rx="3",
            fill=colour(record)),
        _text(LABEL, left / 2, left - PADDING), _text(said, left + right / 2, right - PADDING),
        xmlns="http://www.w3.org/2000/svg", class_="badge", role="img",
        width=f"{left + right:.1f}", height=f"{HEIGHT:g}", aria_label=f"{LABEL}: {said}",
        viewBox=f"0 0 {left + right:.1f} {HEIGHT:g}")


def _text(text: str, middle: float, width: float) -> Element:
    """White text, centred at `middle` and stretched to `width`, whatever font the reader has."""
    return tag("text", text, x=f"{middle:.1f}", y="14", fill="#fff", text_anchor="middle",
               font_family="Verdana,Geneva,DejaVu Sans,sans-serif", font_size="11",
               textLength=f"{width:.1f}")


def svg(record: Record) -> str:
    """The badge as a file."""
    return tostring(badge(record), encoding="unicode") + "\n"
