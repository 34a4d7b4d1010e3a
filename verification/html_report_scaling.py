"""The part of a page that shows time and memory against n."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from . import scaling
from .html_report_elements import Child, table, tag
from .html_report_source import Source
from .scaling import Scaling
from .svg import growth_picture


def scalings(source: Source) -> Iterator[Element]:
    """For each measured capability the curves of all parts, and a table of the largest sizes."""
    found = source.report.scaling
    if not found:
        return
    yield tag("h2", "Time and memory against n")
    yield tag("p", "Measured on this machine and not judged: the least time of three calls, and "
              "the most memory above what the process held before.", class_="key")
    figures = []
    for capability in dict.fromkeys(each.capability for each in found):
        own = [each for each in found if each.capability == capability]
        pictures = [growth_picture({each.part: _seconds(each) for each in own}, "n", "seconds")]
        taking = {each.part: curve for each in own if (curve := _mebibytes(each))}
        if taking:
            pictures.append(growth_picture(taking, "n", "MiB"))
        figures.append(tag("figure", tag("figcaption", capability), *pictures))
    yield tag("div", *figures, class_="figures")
    rows: list[list[Child]] = [list(row) for row in scaling.rows(found)]
    yield table(scaling.HEADINGS, rows)


def _seconds(each: Scaling) -> list[tuple[float, float]]:
    return [(float(n), seconds) for n, seconds in zip(each.sizes, each.seconds, strict=True)]


def _mebibytes(each: Scaling) -> list[tuple[float, float]]:
    return [(float(n), taken / 2**20) for n, taken in zip(each.sizes, each.bytes, strict=True)
            if taken is not None and taken >= scaling.LEAST_MEMORY]
