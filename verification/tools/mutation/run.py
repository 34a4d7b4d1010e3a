"""Do the tests notice a wrong equation? The tests of a file are run on mutants of that file.

    python -m refot.verification.tools.mutation.run --each 24 --seed 0

It runs in a checkout, on a system with `fork`. The mutants are made in a copy of the checkout in
the temporary folder, and a new process runs the tests on each: on the NumPy backend only, with few
examples that are the same each time, without shrinking, and only up to the first failure. A mutant
with which the tests take ten times as long as with the right code counts as noticed, too.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from .mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[3]

TESTS = {
    "transforms": ("refot/test_transforms", "refot/test_plans"),
    "problem": ("refot/test_transforms", "refot/test_plans", "refot/test_bad_input"),
    "solvers/sinkhorn": ("refot/solvers/test_sinkhorn", "meta/test_mutation_survivors"),
    "solvers/symmetric": ("refot/solvers/test_sinkhorn", "refot/solvers/test_symmetric",
                          "meta/test_mutation_survivors"),
    "solvers/scaling": ("refot/solvers/test_sinkhorn", "refot/test_unrolled",
                        "meta/test_mutation_survivors"),
    "objectives": ("refot/test_objectives", "refot/limits/test_closed_forms"),
    "plans": ("refot/test_plans", "refot/test_transforms"),
    "divergences": ("meta/test_mutation_survivors", "refot/test_divergences",
                    "refot/limits/test_closed_forms"),
    "information": ("refot/test_information", "refot/test_informative_objectives",
                    "refot/test_informative_plans"),
    "gradients": ("refot/gradients/test_gradients", "refot/gradients/test_gradients_degenerate"),
    "unrolled": ("refot/test_unrolled", "refot/gradients/test_gradients_degenerate"),
    "implicit": ("refot/test_implicit", "refot/gradients/test_gradients_degenerate"),
    "entropic": ("refot/test_entropic",),
    "semidiscrete": ("refot/semidiscrete/test_semidiscrete", "refot/limits/test_counter_example",
                     "refot/semidiscrete/test_averaged_sgd"),
    "penalties": ("refot/unbalanced/test_penalties", "refot/unbalanced/test_unbalanced_objectives",
                  "refot/unbalanced/test_unbalanced_gradients",
                  "refot/unbalanced/test_unbalanced_solve"),
    "unbalanced_problem": ("refot/unbalanced/test_unbalanced_objectives",
                           "refot/unbalanced/test_penalties",
                           "refot/unbalanced/test_unbalanced_limits",
                           "refot/unbalanced/test_unbalanced_solve"),
    "unbalanced/objectives": ("refot/unbalanced/test_unbalanced_objectives",
                              "refot/unbalanced/test_unbalanced_limits"),
    "unbalanced/values": ("refot/unbalanced/test_unbalanced_gradients",
                          "refot/unbalanced/test_unbalanced_limits"),
    "unbalanced/gradients": ("refot/unbalanced/test_unbalanced_gradients",),
    "unbalanced/limits": ("refot/unbalanced/test_unbalanced_limits",),
    "solvers/unbalanced/iteration": ("refot/unbalanced/test_unbalanced_solve",),
    "costs/ground": ("meta/test_mutation_survivors", "refot/costs/test_costs",
                     "refot/gradients/test_gradients", "refot/gradients/test_gradients_degenerate"),
    "costs/operands": ("meta/test_mutation_survivors", "refot/costs/test_costs",
                       "refot/gradients/test_gradients",
                       "refot/gradients/test_gradients_degenerate"),
}
"""The files below refot/ that hold equations, each with the files below tests/ that test it."""

EXAMPLES = 10
"""Examples that Hypothesis draws for a test that does not set the number itself."""

SLOWER, LEAST = 10.0, 20.0
"""The tests of a mutant may take SLOWER times as long as those of the right code, and in any case
LEAST seconds."""

SURVIVED, KILLED = (0,), (1, 2, 4)
"""Exit statuses of pytest. SURVIVED: all tests passed. KILLED: a test failed, or a test file or
conftest.py could not be loaded. The right code is tested first, so that a mutant must have caused
that."""

BROKEN = 70
"""The exit status if pytest itself cannot run."""

OUTPUT = "pytest-output.txt"
"""The file of the sandbox to which pytest writes. It is read only if pytest could not run."""


@dataclass(frozen=True)
class Outcome:
    """A mutant, and whether the tests noticed it: "killed", "timeout" (noticed, since they took too
    long) or "survived"."""

    file: str
    line: int
    kind: str
    before: str
    after: str
    outcome: str
    seconds: float


@dataclass(frozen=True)
class Sandbox:
    """A copy of the checkout, in which one file at a time is wrong.

    `start` is how the process that runs the tests is started: "fork" shares the modules that are
    imported already, which saves a second for each mutant; "spawn" is a new interpreter.
    """

    folder: Path
    start: Literal["fork", "spawn"] = "fork"

    def source(self, file: str) -> str:
        """The right source of a file of refot/."""
        return (self.folder / "refot" / f"{file}.py").read_text(encoding="utf-8")

    def judge(self, file: str, source: str, limit: float) -> tuple[str, float]:
        """The outcome of the tests of a file with `source` in its place, and the seconds they took;
        `limit` is the most seconds they may take."""
        path, right = self.folder / "refot" / f"{file}.py", self.source(file)
        try:
            _write(path, source)
            return self._run(TESTS[file], limit)
        finally:
            _write(path, right)

    def _run(self, tests: tuple[str, ...], limit: float) -> tuple[str, float]:
        start = time.monotonic()
        context: Any = multiprocessing.get_context(self.start)
        process = context.Process(
            target=_pytest, args=(self.folder, [f"tests/{name}.py" for name in tests]))
        process.start()
        process.join(limit)
        if process.is_alive():
            process.kill()
            process.join()
            return "timeout", time.monotonic() - start
        if process.exitcode not in (*SURVIVED, *KILLED):
            said = (self.folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
            raise RuntimeError(f"pytest of {' '.join(tests)} ended with {process.exitcode}: "
                               f"{said[-2000:]}")
        outcome = "survived" if process.exitcode in SURVIVED else "killed"
        return outcome, time.monotonic() - start


def _write(path: Path, source: str) -> None:
    """Write a source file, and delete its compiled forms: Python would use them for the new source
    if it has the same length and time as the old one."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(source, encoding="utf-8")


def _pytest(folder: Path, tests: list[str]) -> None:
    """Run these tests on the package in `folder`, with their output in a file. It is called in a
    process of its own, which it ends."""
    import pytest
    from hypothesis import HealthCheck, Phase, settings

    for name in [name for name in sys.modules if name.partition(".")[0] == "refot"]:
        del sys.modules[name]  # it came from the checkout; the tests need the copy in `folder`
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    output = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    settings.register_profile(
        "mutation", max_examples=EXAMPLES, derandomize=True, database=None, deadline=None,
        phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
    os.environ |= {"HYPOTHESIS_PROFILE": "mutation", "REFOT_BACKEND": "numpy",
                   "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # so that no plugin changes an outcome
    status = BROKEN
    try:
        status = pytest.main([
            "-q", "-x", "-p", "no:cacheprovider",
            # pytest warns of modules that were imported before the fork.
            "-W", "ignore::pytest.PytestAssertRewriteWarning",
            "-k", "not numba and not cupy", *tests])
    except BaseException:  # noqa: BLE001 - the process ends here; the caller reads the output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@contextlib.contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A copy of what the tests need, which is deleted at the end of the `with` block."""
    with tempfile.TemporaryDirectory(prefix="refot-mutants-") as name:
        folder = Path(name)
        for part in ("refot", "backends", "verification", "tests"):
            shutil.copytree(ROOT / part, folder / part, symlinks=True,
                            ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        yield Sandbox(folder)


def sample(source: str, each: int, seed: str) -> tuple[list[Mutant], int]:
    """(`each` mutants of a source, drawn without repetition, or all if there are fewer; the number
    of all)."""
    found = list(mutants(source))
    drawn = random.Random(seed).sample(range(len(found)), min(each, len(found)))
    return [found[k] for k in sorted(drawn)], len(found)


def judged(box: Sandbox, file: str, drawn: list[Mutant]) -> Iterator[Outcome]:
    """The outcome of each mutant. Raises RuntimeError where the right code fails its tests."""
    outcome, seconds = box.judge(file, box.source(file), 600.0)
    if outcome != "survived":
        raise RuntimeError(f"{file}: the tests fail on the right code ({outcome})")
    for mutant in drawn:
        outcome, took = box.judge(file, mutant.source, max(LEAST, SLOWER * seconds))
        yield Outcome(file, mutant.line, mutant.kind, mutant.before, mutant.after, outcome, took)


def main(arguments: list[str] | None = None) -> int:
    """Test a sample of mutants; print a line for each file and each survivor. Exit status 0."""
    parser = argparse.ArgumentParser(prog="python -m refot.verification.tools.mutation.run",
                                     description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--each", type=int, default=24, help="mutants of each file")
    parser.add_argument("--seed", type=int, default=0, help="which ones")
    parser.add_argument("--files", nargs="+", default=list(TESTS), choices=list(TESTS))
    parser.add_argument("--json", type=Path, help="write every outcome to this file")
    asked = parser.parse_args(arguments)
    outcomes: list[Outcome] = []
    with sandbox() as box:
        for file in asked.files:
            drawn, total = sample(box.source(file), asked.each, f"{asked.seed} {file}")
            found = list(judged(box, file, drawn))
            outcomes += found
            print(_line(file, found, total), flush=True)
            for each in found:
                if each.outcome == "survived":
                    print(f"    line {each.line}, {each.kind}: {each.before}  ->  {each.after}")
    print(_line("all", outcomes, None))
    if asked.json is not None:
        text = json.dumps([asdict(replace(each, seconds=round(each.seconds, 2)))
                           for each in outcomes], indent=1)
        asked.json.write_text(text + "\n", encoding="utf-8")
    return 0


def _line(file: str, outcomes: list[Outcome], total: int | None) -> str:
    survived = sum(each.outcome == "survived" for each in outcomes)
    killed, of = len(outcomes) - survived, "" if total is None else f" of {total}"
    return (f"{file}: {len(outcomes)}{of} mutants, {killed} killed, {survived} survived "
            f"({100 * killed / max(1, len(outcomes)):.1f} %)")


if __name__ == "__main__":
    for module in ("pytest", "hypothesis.extra.numpy", "scipy.optimize"):
        # Every test process needs these modules. Imported before the forks, they are loaded once.
        importlib.import_module(module)
    sys.exit(main())
