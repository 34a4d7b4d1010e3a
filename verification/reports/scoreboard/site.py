"""Writes the scoreboard: its pages, a record of each report, and for each library a badge as SVG
and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from refot.files import write_text

from .badge import endpoint, svg
from .frame import page_of, slug
from .library import library
from .overview import overview
from .record import Record, RecordError, read, write
from .summary import by_library


def write_scoreboard(files: Sequence[Path], out: Path) -> list[Path]:
    """Write the scoreboard of reports and records into a folder; the files that were written.

    Raises RecordError for a file that is neither, or for two files of one version of a library;
    OSError.
    """
    records = [read(file) for file in files]
    for k, (record, file) in enumerate(zip(records, files, strict=True)):
        for other, earlier in zip(records[:k], files, strict=False):
            if page_of(record) == page_of(other):
                raise RecordError(f"{file}: {record.title} again, which is in {earlier}, too")
    out.mkdir(parents=True, exist_ok=True)
    return list(_write(by_library(records), out))


def _write(libraries: dict[str, list[Record]], out: Path) -> list[Path]:
    texts = {"index.html": overview(libraries)}
    written = []
    for name, versions in libraries.items():
        for record in versions:
            file = f"{slug(record.title)}.record.json"
            texts[page_of(record)] = library(record, versions, file)
            write(record, out / file)
            written.append(out / file)
        newest = versions[-1]
        texts[f"{slug(name)}.svg"] = svg(newest)
        texts[f"{slug(name)}.json"] = json.dumps(endpoint(newest, page_of(newest)), indent=1) + "\n"
    for file, text in texts.items():
        write_text(out / file, text)
        written.append(out / file)
    return written
