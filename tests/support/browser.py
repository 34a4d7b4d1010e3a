"""Pages in a real browser: a screenshot, the lines on the console, the requests to the network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


@dataclass(frozen=True)
class Visit:
    """A page in a browser: its screenshot, the lines on the console, the addresses it requested."""

    picture: np.ndarray
    console: list[str]
    requests: list[str]


def visit(page: Path, width: int, folder: Path, query: str = "", wait: int = 0) -> Visit:
    """Open a file in headless Chromium, in a window of this width (pixels), without any host name
    being resolved. The browser writes its files to `folder`. `query`, which begins with "?", is
    appended to the address. The scripts of the page run for `wait` milliseconds of its virtual
    time.
    """
    assert CHROMIUM is not None
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
         f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0",
         f"--log-net-log={folder / 'net.json'}", f"--screenshot={folder / 'page.png'}",
         *([f"--virtual-time-budget={wait}"] if wait else []),
         f"--window-size={width},2000", page.as_uri() + query],
        capture_output=True, text=True, timeout=120, check=True)
    console = re.findall(r'CONSOLE[:(]\d*\)?\] "(.*)", source', done.stderr)
    requests = []
    for event in json.loads((folder / "net.json").read_text(encoding="utf-8"))["events"]:
        said = event.get("params", {})
        if said.get("initiator", "not an origin") != "not an origin":  # the browser's own
            requests.append(said.get("url", ""))
    return Visit(image.imread(folder / "page.png"), console, requests)
