"""`refot scoreboard` makes a static site out of reports of `refot verify --json`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refot.cli.shared import console, verification
from refot.terminal import foreign


def scoreboard(
    files: Annotated[list[Path], typer.Argument(
        metavar="REPORT.json...", help="Reports of refot verify --json, or records of an earlier "
                                       "scoreboard.")],
    out: Annotated[Path, typer.Option(help="The folder of the site.")],
) -> None:
    """Compare libraries and versions on one site, with the evidence, a badge and JSON for each.

    Exit status: 0 the site is written; 2 a file is neither a report nor a record, two files are
    about one version of a library, or the files of two libraries would have one name.
    """
    written = verification("reports.scoreboard.site").write_scoreboard(files, out)
    console.print(foreign(f"{out / 'index.html'} and {len(written) - 1} other files"))
