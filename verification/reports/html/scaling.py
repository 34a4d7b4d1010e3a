"""The part of a page that shows time and memory against n."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from refot.verification.runs import scaling
from refot.verification.runs.scaling import Scaling

from .elements import Child, table, tag
from .pictures import growth_picture
from .source import Source


def scalings(source: Source) -> Iterator[Element]:
    """For each measured capability a small picture a part, and a table of the largest sizes."""
    found = source.report.scaling
    if not found:
        return
    yield tag("h2", "Time and memory against n")
    yield tag("p", "Measured on this machine and not judged: the least time of four calls, and "
              "the most memory above what the process held before. The other functions are "
              "drawn pale.", class_="key")
    for capability in dict.fromkeys(each.capability for each in found):
        own = [each for each in found if each.capability == capability]
        for what, curves in (("seconds", {each.part: _seconds(each) for each in own}),
                             ("MiB", {each.part: curve for each in own
                                      if (curve := _mebibytes(each))})):
            if curves:
                yield tag("h3", f"{capability}: {what}")
                yield tag("div", *(_figure(curves, part, what) for part in curves),
                          class_="growths")
    rows: list[list[Child]] = [list(row) for row in scaling.rows(found)]
    yield table(scaling.HEADINGS, rows)


def _figure(curves: dict[str, list[tuple[float, float]]], part: str, what: str) -> Element:
    return tag("figure", growth_picture(curves, part, "n", what), tag("figcaption", part))


def _seconds(each: Scaling) -> list[tuple[float, float]]:
    return [(float(n), seconds) for n, seconds in zip(each.sizes, each.seconds, strict=True)]


def _mebibytes(each: Scaling) -> list[tuple[float, float]]:
    return [(float(n), taken / 2**20) for n, taken in zip(each.sizes, each.bytes, strict=True)
            if taken is not None and taken >= scaling.LEAST_MEMORY]
