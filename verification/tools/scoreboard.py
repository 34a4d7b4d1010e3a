"""Makes the records of docs/scoreboard/: each library and version in an environment of its own.

    python -m refot.verification.tools.scoreboard                  all of them
    python -m refot.verification.tools.scoreboard pot-0.9.5 regot  only these

An environment is kept in build/scoreboard/. pip installs the library there, and the dependencies of
refot; refot itself is run from the checkout. A library that cannot be installed or run is printed
as "not made", and its old record stays. `refot scoreboard` and `docs/build.py` make the site from
the records.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from refot.verification.reports.scoreboard.frame import slug
from refot.verification.reports.scoreboard.record import Record, Result, read, write

ROOT = Path(__file__).resolve().parents[2]

LATE = "no answer within"
"""The words with which a report describes a call that did not end in time."""

LONGEST = 7200
"""Seconds that one command may take, such as a whole run of `refot verify`."""


@dataclass(frozen=True)
class Run:
    """One library in one version: the TARGET of `refot verify`, and what pip installs."""

    name: str
    target: str
    requirements: tuple[str, ...] = ()


TORCH = "torch==2.13.0"

FOR_POT = (TORCH, "geomloss==0.3.1")
"""Packages that POT needs for its gradients, and for its functions that call GeomLoss."""

RUNS = (
    Run("refot-numpy", "numpy"),
    Run("refot-numba", "numba"),
    Run("pot-0.9.5", "pot", ("POT==0.9.5", *FOR_POT)),
    Run("pot-0.9.6", "pot", ("POT==0.9.6", *FOR_POT)),
    Run("pot-0.9.7", "pot", ("POT==0.9.7.post1", *FOR_POT)),
    Run("ott-0.5", "ott", ("ott-jax==0.5.0",)),
    Run("ott-0.6", "ott", ("ott-jax==0.6.0",)),
    Run("geomloss-0.2.6", "geomloss", ("geomloss==0.2.6", TORCH)),
    Run("geomloss-0.3.1", "geomloss", ("geomloss==0.3.1", TORCH)),
    Run("regot", "regot", ("regot",)),
    Run("keops", "keops", ("pykeops", TORCH)),
)
"""The libraries and versions of the scoreboard."""


class FailedError(RuntimeError):
    """A command failed; the message has the last line that it wrote."""


def environment(run: Run, folder: Path) -> Path:
    """The path of Python in the environment of a run, which is made if it does not exist."""
    python = folder / run.name / "bin" / "python"
    if not python.exists():
        venv.create(folder / run.name, with_pip=True)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        _do([str(python), "-m", "pip", "install", "-q", *project["dependencies"],
             *project["optional-dependencies"]["data"], *run.requirements], ROOT)
    return python


def record(run: Run, folder: Path, out: Path) -> Path:
    """Verify a library in its environment, and write the record."""
    report = folder / f"{run.name}.json"
    report.unlink(missing_ok=True)
    command = [str(environment(run, folder)), "-m", "refot", "verify", run.target, "--json",
               str(report)]

    def ask(result: Result) -> Result:
        _do([*command, "--part", result.part, "--check", result.id, "--case", result.case], ROOT,
            statuses=(0, 1, 2))
        return next(each for each in read(report).results if each.part == result.part)

    _do(command, ROOT, statuses=(0, 1))
    found = in_time(read(report), ask)
    target = out / f"{slug(found.title)}.record.json"
    write(found, target)
    return target


def in_time(found: Record, ask: Callable[[Result], Result]) -> Record:
    """The record, in which each result of a call that took too long is replaced by that of `ask`,
    which runs the check again on its own. On a busy machine a call may be too slow only because
    others run beside it."""
    return replace(found, results=tuple(ask(result) if LATE in result.why else result
                                        for result in found.results))


def _do(command: list[str], folder: Path, statuses: tuple[int, ...] = (0,)) -> None:
    """Run a command. Raises FailedError if it does not end with one of these statuses."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LONGEST,
                          check=False)
    if done.returncode not in statuses:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise FailedError(lines[-1] if lines else f"exit status {done.returncode}")


def main(arguments: list[str]) -> int:
    """Make the records of the given names, or all; return 1 if one could not be made."""
    names = [run.name for run in RUNS]
    parser = argparse.ArgumentParser(description="Make the records of the scoreboard.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "scoreboard")
    parser.add_argument("--environments", type=Path, default=ROOT / "build" / "scoreboard")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: not one of {', '.join(names)}")
    asked.environments.mkdir(parents=True, exist_ok=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    missing = 0
    for run in RUNS:
        if not asked.names or run.name in asked.names:
            try:
                print(f"{run.name}: {record(run, asked.environments, asked.out)}", flush=True)
            except (FailedError, subprocess.TimeoutExpired) as error:
                print(f"{run.name}: not made: {error}", flush=True)
                missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
