"""Writes the scoreboard: its pages, a record of each report, and for each library a badge as SVG
and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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

    Raises RecordError for a file that is neither, for two files of one version of a library, and
    for two libraries whose files would have one name; OSError.
    """
    records = [read(file) for file in files]
    for k, (record, file) in enumerate(zip(records, files, strict=True)):
        for other, earlier in zip(records[:k], files, strict=False):
            if record.title == other.title:
                raise RecordError(f"{file}: {record.title} again, which is in {earlier}, too")
    contents: dict[str, str | Record] = {}
    for name, content in _contents(by_library(records)):
        if name in contents:
            raise RecordError(f"{name} would be written twice: a library needs a name that differs "
                              "from all others, and from index, in its letters a-z and digits")
        contents[name] = content
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if isinstance(content, Record):
            write(content, out / name)
        else:
            write_text(out / name, content)
    return [out / name for name in contents]


def _contents(libraries: dict[str, list[Record]]) -> Iterator[tuple[str, str | Record]]:
    """The name of each file, and what is in it."""
    yield "index.html", overview(libraries)
    for name, versions in libraries.items():
        for record in versions:
            file = f"{slug(record.title)}.record.json"
            yield page_of(record), library(record, versions, file)
            yield file, record
        newest = versions[-1]
        yield f"{slug(name)}.svg", svg(newest)
        yield f"{slug(name)}.json", json.dumps(endpoint(newest, page_of(newest)), indent=1) + "\n"
