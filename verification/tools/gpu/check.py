"""Test and measure the CuPy backend on a machine with a GPU, in one command:

    python verification/tools/gpu/check.py --json out.json

It runs in a plain checkout with NumPy, SciPy, Numba and CuPy: refot need not be installed, and no
network is needed. It describes the machine, compares every operation with the NumPy backend
(`refot.verification.parity`), runs `refot verify cupy`, and times softmins (`benchmark.py`) and
solves to the same certified accuracy (`accuracy.py`) beside KeOps, flash-sinkhorn and curegot,
where these are installed. Timings that would begin after `--minutes` are left out, and named. Exit
status: 0 all of it passed, 1 something failed, 2 there is no GPU that CuPy can use.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PARTS = ("parity", "verify", "accuracy", "benchmark")


def machine(backend: Any) -> dict[str, Any]:
    """The device and the versions with which the results were measured."""
    import numpy as np

    cupy = backend.xp
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {
        "device": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "multiprocessors": properties["multiProcessorCount"],
        "memory_bytes": properties["totalGlobalMem"],
        "driver": cupy.cuda.runtime.driverGetVersion(),
        "runtime": cupy.cuda.runtime.runtimeGetVersion(),
        "cupy": cupy.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "tf32": os.environ.get("CUPY_TF32", "0") == "1",
    }


def parity(backend: Any) -> dict[str, Any]:
    """The results of all comparisons of operations, and whether all of them passed."""
    from dataclasses import asdict

    from refot.verification.parity.comparison import parity as compare

    results = list(compare(backend))
    worst = sorted(results, key=lambda result: (result.passed, -result.share))
    for result in [r for r in worst if not r.passed] or worst[:1]:
        _say(f"  {'worst' if result.passed else 'FAILED'}: {result.operation} {result.dtype} on "
             f"{result.case}: error {result.error:.3g}, {result.relative_in_u:.3g} u of the "
             f"result, {result.share:.3g} of what is allowed")
    passed = sum(result.passed for result in results)
    _say(f"  {passed} of {len(results)} comparisons passed")
    return {"passed": passed == len(results), "worst": asdict(worst[0]),
            "results": [asdict(result) for result in results]}


def verify(backend: Any) -> dict[str, Any]:
    """The report of `refot verify cupy` in its quick profile. Cases that need a package which is
    not installed are named on the terminal."""
    from refot.verification.runs.run import run
    from refot.verification.subjects.adapters.refot_itself import subject

    report = run(subject(backend), "quick")
    found = report.as_dict()
    for check in found["checks"]:
        if check["status"] in ("failed", "error"):
            _say(f"  {check['status'].upper()}: {check['id']} on {check['case']}: "
                 f"{check['message']} {check['diagnosis']}")
    for case, reason in report.left_out.items():
        _say(f"  left out: {case}: {reason}")
    _say(f"  {found['summary']['passed']} checks passed, {found['summary']['failed']} failed, "
         f"{found['summary']['errors']} errors")
    return {"passed": report.exit_status_of(strict=True) == 0, **found}


def benchmark(backend: Any, deadline: Any) -> dict[str, Any]:
    """Rates of softmins, beside peers. It has no figure that could be wrong, and passes."""
    from refot.verification.tools.gpu.benchmark import softmin_rates

    rates = []
    for row in softmin_rates(backend, deadline):
        figures = ", ".join(
            f"{name} {value:.3g} pairs/s" if isinstance(value, float) else f"{name} {value}"
            for name, value in row.items() if name not in ("dtype", "n", "d"))
        _say(f"  softmin {row['dtype']} n = m = {row['n']:,} d = {row['d']}: {figures}")
        rates.append(row)
    return {"passed": True, "softmin": rates}


def accuracy(backend: Any, deadline: Any) -> dict[str, Any]:
    """Times to the same certified gap, beside peers. It fails where refot, in float64, was tried
    and does not reach the gap."""
    from refot.verification.tools.gpu.accuracy import times_to_accuracy

    rows = []
    for row in times_to_accuracy(backend, deadline):
        _say(f"  {row['solver']}, n = m = {row['n']:,} d = {row['d']} eps = {row['eps']:.3g}: "
             + (f"{row['seconds']:.3g} s to a certified gap of {row['gap']:.1e}"
                if "seconds" in row else row["reason"]))
        rows.append(row)
    failed = [row for row in rows if row["solver"] == "refot float64" and "seconds" not in row
              and not row["reason"].startswith("left out")]
    return {"passed": not failed, "solves": rows}


def main(arguments: list[str]) -> int:
    """Run the command with these arguments, and return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to FILE")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part, or several")
    parser.add_argument("--minutes", type=float, default=8.0, metavar="M",
                        help="begin no further timing after M minutes (default: 8)")
    chosen = parser.parse_args(arguments)

    from refot import __version__
    from refot.backend_contract import BackendUnavailableError, get_backend
    from refot.files import write_text
    from refot.verification.tools.gpu.deadline import Deadline

    deadline = Deadline(chosen.minutes)
    try:
        backend = get_backend("cupy")
    except BackendUnavailableError as error:
        print(f"gpu_check: nothing was run on a GPU: {error}", file=sys.stderr)
        return 2
    report: dict[str, Any] = {"refot": __version__, "machine": machine(backend)}
    _say(", ".join(f"{name} {value}" for name, value in report["machine"].items()))
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "parity": lambda: parity(backend), "verify": lambda: verify(backend),
        "accuracy": lambda: accuracy(backend, deadline),
        "benchmark": lambda: benchmark(backend, deadline)}
    for name in PARTS:
        if chosen.only is None or name in chosen.only:
            _say(f"{name}:")
            start = time.monotonic()
            report[name] = parts[name]()
            report[name]["seconds"] = time.monotonic() - start
            # Written after each part, because a later one may crash or hang.
            if chosen.json is not None:
                write_text(chosen.json, json.dumps(report, indent=1, allow_nan=False))
    return int(not all(report[name]["passed"] for name in PARTS if name in report))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # `refot` of this checkout, installed or not, and not this folder
    sys.exit(main(sys.argv[1:]))
