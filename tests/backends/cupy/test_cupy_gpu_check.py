"""The script for GPU machines: what it does where there is none, and its parts without one."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_host.host import COMPILER, HostBackend

from refot.backend_contract import backend_status
from refot.backends.numpy.backend import NumpyBackend
from refot.problem import problem
from refot.verification.bench.criterion import Answer, judge
from refot.verification.bench.peers.peer import Solve
from refot.verification.bench.problems import Instance
from refot.verification.parity import ParityProblem, compared, fixed_problems
from refot.verification.tools.gpu import accuracy as gpu_accuracy
from refot.verification.tools.gpu import benchmark as gpu_benchmark
from refot.verification.tools.gpu import check as gpu_check
from refot.verification.tools.gpu.deadline import Deadline

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "verification" / "tools" / "gpu" / "check.py"
NO_GPU = any(s.name == "cupy" and not s.available for s in backend_status())

ABSENT = """
import sys, runpy
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"flint", "typer", "rich", "matplotlib", "sklearn"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


@pytest.fixture(scope="module")
def host() -> HostBackend:
    if COMPILER is None and os.environ.get("CI") != "true":
        pytest.skip("no g++ here; CI has one")
    return HostBackend(threads=(2, 3), multiprocessors=2)


@pytest.mark.skipif(not NO_GPU, reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_exits_2(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--json", "out.json"], cwd=tmp_path,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("gpu_check: nothing was run on a GPU: cupy: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_it_needs_neither_an_installation_nor_the_optional_packages(tmp_path: Path) -> None:
    """A checkout, NumPy and SciPy: its own refot is the one that is imported, from any folder."""
    code = ABSENT + f"""
sys.path[:] = [{str(SCRIPT.parent)!r}, *(p for p in sys.path if p != {str(ROOT)!r})]
sys.argv = ["check.py", "--help"]
try:
    runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
except SystemExit:
    pass
import refot, refot.verification.parity, refot.verification.tools.gpu.benchmark
import refot.verification.tools.gpu.accuracy
import refot.verification.subjects.adapters.refot_itself, refot.verification.runs.run
print(refot.__file__)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, check=True)
    assert done.stdout.splitlines()[-1] == str(ROOT / "refot" / "__init__.py")


# ------------------------------------------------------------------ parity
def small(dtype: Any) -> list[ParityProblem]:
    return [case for case in fixed_problems(dtype) if np.prod(case.C.shape) * max(case.d, 1) < 2e5
            and " d=64" not in case.name]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parity_of_the_kernels_on_the_small_cases(host: HostBackend, dtype: Any) -> None:
    results = [r for case in small(dtype) for r in compared(host, case)]
    assert {r.operation for r in results} == {
        "softmin", "plan_apply", "marginals, rows", "marginals, columns", "plan_cost",
        "plan_cost_gradient", "plan_entries", "plan_entries, too many", "gibbs",
        "sweep, K v", "sweep, K'u"}
    assert not [r for r in results if not r.passed]


class Careless(NumpyBackend):
    """Everything right to 1e-5, and no point without mass."""

    def softmin(self, C: Any, h: Any, eps: float, shift: Any = None) -> Any:
        return super().softmin(C, h, eps) * h.dtype.type(1 + 1e-5)

    def plan_apply(self, C: Any, F: Any, G: Any, eps: float, V: Any) -> Any:
        return super().plan_apply(C, F, np.maximum(G, -1), eps, V)

    def plan_cost(self, C: Any, F: Any, G: Any, eps: float) -> float:
        return float("nan")

    def plan_cost_gradient(self, C: Any, F: Any, G: Any, eps: float) -> Any:
        return super().plan_cost_gradient(C, F, G, eps * (1 + 1e-4))

    def marginals(self, C: Any, F: Any, G: Any, eps: float) -> Any:
        return super().marginals(C, F, np.maximum(G, -1), eps)

    def plan_entries(self, C: Any, F: Any, G: Any, eps: float, least: float, most: int) -> Any:
        return super().plan_entries(C, F, G, eps, 100 * least, 10**9)

    def gibbs(self, C: Any, f: Any, g: Any, eps: float, least: float, K: Any) -> None:
        super().gibbs(C, f, g, eps, 2 * least, K)

    def sweep(self, K: Any, v: Any, s: Any, w: float) -> Any:
        return tuple(sums * (1 + 1e-3) for sums in super().sweep(K, v, s, w))


def test_parity_sees_what_is_wrong() -> None:
    case = next(case for case in small(np.float32) if "m=700" in case.name)
    assert not [r for r in compared(NumpyBackend(), case) if not r.passed]
    assert not [r for r in compared(Careless(), case) if r.passed]


# ------------------------------------------------------------------ the whole, on a stand-in
@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's backend in place of CuPy's, small problems, and a device that is made up."""
    backend = NumpyBackend()
    fake = ModuleType("fake")
    vars(fake).update(
        __version__="0", cuda=SimpleNamespace(
            Device=lambda: SimpleNamespace(id=0),
            runtime=SimpleNamespace(
                driverGetVersion=lambda: 0, runtimeGetVersion=lambda: 0,
                getDeviceProperties=lambda k: {"name": b"none", "major": 9, "minor": 0,
                                               "multiProcessorCount": 1, "totalGlobalMem": 1})))
    monkeypatch.setattr(gpu_check, "machine", lambda _, of=gpu_check.machine: of(
        SimpleNamespace(xp=fake)))
    monkeypatch.setattr("refot.backend_contract.get_backend", lambda name: backend)
    monkeypatch.setattr(gpu_benchmark, "SOFTMIN", (("float32", 50, 3),))
    monkeypatch.setattr(gpu_accuracy, "PROBLEMS", ((40, 2, 0.1),))
    few = {dtype: small(dtype)[:2] for dtype in (np.float32, np.float64)}
    monkeypatch.setattr("refot.verification.parity.comparison.fixed_problems", few.get)


@pytest.mark.usefixtures("device")
def test_it_writes_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    assert gpu_check.main(["--json", str(out), *only("parity", "accuracy", "benchmark")]) == 0
    report = json.loads(out.read_text())
    assert list(tmp_path.iterdir()) == [out]
    assert report["machine"]["device"] == "none"
    assert report["parity"]["passed"]
    rates = report["benchmark"]["softmin"][0]
    assert rates["numpy"] > 0
    assert isinstance(rates["keops"], str)  # why it was not measured
    solves = {row["solver"]: row for row in report["accuracy"]["solves"]}
    assert solves["refot float64"]["gap"] <= 1e-4
    assert solves["refot float32"]["gap"] <= 1e-4
    assert set(solves) == {"refot float64", "refot float32", *gpu_accuracy.PEERS}
    assert all("reason" in solves[name] for name in gpu_accuracy.PEERS)
    due = sum(len(list(compared(NumpyBackend(), case)))
              for dtype in (np.float32, np.float64) for case in small(dtype)[:2])
    assert due > 20
    assert f"{due} of {due} comparisons passed" in capsys.readouterr().out


def only(*parts: str) -> list[str]:
    return [word for part in parts for word in ("--only", part)]


@pytest.mark.usefixtures("device")
def test_what_begins_too_late_is_left_out_and_named(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    arguments = ["--minutes", "0", "--json", str(out), *only("accuracy", "benchmark")]
    assert gpu_check.main(arguments) == 0
    report = json.loads(out.read_text())
    why = "left out: no time left of 0 minutes"
    assert {row["reason"] for row in report["accuracy"]["solves"]} == {why}
    assert report["benchmark"]["softmin"][0]["numpy"] == why


MOST = 300


def plain(instance: Instance, sharp: bool = True) -> Solve:
    """Sinkhorn's iteration, 1 / accuracy times, MOST at most; wrong potentials if not `sharp`."""
    def solve(accuracy: float) -> Answer:
        p = problem(instance.C, instance.a, instance.a, instance.eps, "numpy")
        count = min(math.ceil(1 / accuracy), MOST)
        g = np.zeros(instance.n)
        for _ in range(count):
            f = p.transform(g)
            g = p.T.transform(f)
        return Answer(f, g if sharp else g + 0.1 * instance.x[:, 0], count)

    return solve


@pytest.mark.usefixtures("device")
def test_each_solver_is_timed_at_the_fewest_iterations_that_reach_the_gap(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_accuracy, "PEERS", {"plain": plain,
                                                "wrong": partial(plain, sharp=False)})
    rows = {row["solver"]: row for row in gpu_accuracy.times_to_accuracy(NumpyBackend(),
                                                                          Deadline(1))}
    found = rows["plain"]
    assert found["gap"] <= 1e-4
    instance = gpu_accuracy.instance_of(*gpu_accuracy.PROBLEMS[0])
    fewer = judge(instance, plain(instance)(8 / found["iterations"]))
    assert fewer.gap > 1e-4  # an eighth of the iterations does not suffice
    assert rows["wrong"]["reason"].startswith("does not get there; reached a gap of ")


@pytest.mark.usefixtures("device")
def test_a_failed_comparison_is_exit_status_1(monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("refot.backend_contract.get_backend", lambda name: Careless())
    assert gpu_check.main(["--only", "parity"]) == 1
    assert "FAILED: softmin" in capsys.readouterr().out
