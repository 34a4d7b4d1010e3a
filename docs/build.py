"""Builds the website: `python docs/build.py` writes it to site/, from which it can be opened as it is.

    python docs/build.py --out folder    into another folder
    python docs/build.py --fresh         without what an earlier build has kept

It needs the `docs` extra, and no network, neither while it builds nor when it is read. A warning of
Sphinx is an error, and so is a link that leads nowhere.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parent))

from website.finish import check, finish  # noqa: E402
from website.stage import clear, stage  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def build(out: Path, kept: Path, *, fresh: bool = False) -> list[str]:
    """Build the site into `out`; what is wrong with it, a line each. `kept` holds what a later
    build need not do again."""
    if fresh:
        clear(kept)
        clear(out)
    stage(kept / "pages")
    app = Sphinx(kept / "pages", ROOT / "docs" / "website", out, kept / "doctrees", "html",
                 warningiserror=True, exception_on_warning=False, parallel=2)
    app.build()
    finish(out)
    return [*check(out), *(["Sphinx warned, see above"] if app.statuscode else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the website of refot.")
    parser.add_argument("--out", type=Path, default=ROOT / "site")
    parser.add_argument("--kept", type=Path, default=ROOT / "build" / "website")
    parser.add_argument("--fresh", action="store_true")
    asked = parser.parse_args()
    start = time.perf_counter()
    wrong = build(asked.out.resolve(), asked.kept.resolve(), fresh=asked.fresh)
    print("\n".join(wrong) or f"{asked.out}/index.html, in {time.perf_counter() - start:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
