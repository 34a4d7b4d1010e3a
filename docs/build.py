"""Builds the website into site/, from which a browser can open it as it is.

    python docs/build.py                 into site/
    python docs/build.py --out folder    into another folder
    python docs/build.py --fresh         without what an earlier build has kept

It needs the `docs` extra, and no network, neither while it builds nor when it is read. A warning of
Sphinx is an error, and so is a link that leads nowhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT)]  # refot as it is here, not a copy that is installed

from website.finish import check, finish  # noqa: E402
from website.stage import clear, stage  # noqa: E402

from refot.verification.reports.scoreboard.site import write_scoreboard  # noqa: E402
from refot.verification.vectors.publish import publish  # noqa: E402

OF_A_PART = {"suppress_warnings": ["ref.doc", "ref.ref", "toc.not_readable"]}
"""What Sphinx says about links to pages that are not built."""


def build(out: Path, kept: Path, only: Collection[str] = ()) -> list[str]:
    """Build the site, or the pages in `only`, into `out`; what is wrong with it, a line each.
    `kept` holds what a later build need not do again."""
    stage(kept / "pages", only)
    app = Sphinx(kept / "pages", ROOT / "docs" / "website", out, kept / "doctrees", "html",
                 OF_A_PART if only else {}, warningiserror=True, exception_on_warning=False,
                 parallel=2, status=None)
    app.build()
    finish(out)
    write_scoreboard(sorted((ROOT / "docs" / "scoreboard").glob("*.record.json")),
                     out / "scoreboard")
    publish(out / "_downloads")
    return [*check(out), *(["Sphinx warned, see above"] if app.statuscode else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the website of refot.")
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    parser.add_argument("--kept", type=Path, default=ROOT / "build" / "website")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--only", default="", help="a part: names of pages, with commas between")
    asked = parser.parse_args()
    start = time.perf_counter()
    if asked.fresh:
        clear(asked.kept)
        clear(asked.out)
    only = [name for name in asked.only.split(",") if name]
    wrong = build(asked.out.resolve(), asked.kept.resolve(), only)
    print("\n".join(wrong) or f"{asked.out}/index.html, in {time.perf_counter() - start:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
