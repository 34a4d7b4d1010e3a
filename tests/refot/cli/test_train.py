"""Training: a run that is stopped, killed or resumed ends as one that was not; what is refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_system
from child_processes import GIVE_UP, interruptible, wait_until
from typer.testing import CliRunner

from refot.arrays import InputError, UnknownNameError
from refot.cli.app import app
from refot.networks import load_checkpoint
from refot.systems.registry import SYSTEMS
from refot.systems.training import loop
from refot.systems.training.folder import RunFolderError, locked
from refot.systems.training.loop import Cadence, DivergedError, train
from refot.systems.training.pictures import AGAIN, affordable
from refot.systems.training.watcher import Watcher

NEVER = Cadence(checkpoint_seconds=1e9, measure_every=10**9)


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The toy is in the table of systems; pictures are drawn only where they are looked at."""
    monkeypatch.setitem(SYSTEMS, toy_system.NAME, toy_system.__name__)
    if "pictures" not in request.fixturenames:
        monkeypatch.setattr(loop._Run, "_draw", lambda run: None)


@pytest.fixture
def pictures() -> None:
    """A test that takes this has its pictures drawn."""


def toy(out: Path, iterations: int | None = 20, **options: Any) -> loop.Outcome:
    return train("toy", options.pop("preset", "quadratic"), out, iterations=iterations,
                 **{"cadence": NEVER} | options)


def weights(outcome: loop.Outcome) -> dict[str, np.ndarray]:
    return load_checkpoint(outcome.checkpoint)[0]


def rows(out: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without the times, which no two runs share."""
    found = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key != "seconds"} for row in found]


def assert_same_run(first: loop.Outcome, second: loop.Outcome, a: Path, b: Path) -> None:
    """Weights, generator and metrics, bit for bit."""
    x, y = weights(first), weights(second)
    assert x.keys() == y.keys()
    for name in x:
        assert x[name].tobytes() == y[name].tobytes(), name
    headers = [load_checkpoint(run.checkpoint)[1] for run in (first, second)]
    assert headers[0]["rng"] == headers[1]["rng"]
    assert rows(a) == rows(b)


# ------------------------------------------------------------------ what a run leaves
def test_a_run_leaves_its_files(tmp_path: Path, pictures: None) -> None:
    out = tmp_path / "deep" / "run"
    outcome = toy(out, iterations=4, cadence=Cadence(measure_every=2))
    names = {path.name for path in out.iterdir()}
    assert names == {"run.json", "metrics.jsonl", "report.json", "curves.png", "progress.html",
                     "checkpoint-000000004.npz", *(f"samples-{k:09d}.png" for k in (0, 2, 4))}
    assert [row["iteration"] for row in rows(out)] == [0, 1, 2, 3, 4]
    assert [row["iteration"] for row in rows(out) if "measures" in row] == [0, 2, 4]
    report = json.loads((out / "report.json").read_text())
    assert report["iterations"] == 4
    assert report["measures"] == {"noisy": outcome.measures["noisy"], "undefined": None}
    assert report["losses"] == rows(out)[-1]["losses"]


def test_the_page_of_a_run_reloads_itself_until_it_is_done(tmp_path: Path, pictures: None) -> None:
    pages = []

    class Reads(Watcher):
        def measured(self, iteration: int, measures: dict[str, float | None]) -> None:
            if iteration == 4:  # the page of iteration 2
                pages.append((tmp_path / "progress.html").read_text(encoding="utf-8"))

    toy(tmp_path, iterations=4, cadence=Cadence(measure_every=2), watcher=Reads())
    pages.append((tmp_path / "progress.html").read_text(encoding="utf-8"))
    assert [AGAIN in page for page in pages] == [True, False]
    for iteration, page in zip((2, 4), pages, strict=True):
        assert f"samples-{iteration:09d}.png" in page
        assert "curves.png" in page
        assert f"{iteration} of 4 iterations" in page


def test_pictures_are_left_out_where_they_would_take_too_long(
        tmp_path: Path, pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measures are taken all the same: numbers must not depend on the clock."""
    monkeypatch.setattr(loop, "affordable", lambda *_: False)
    toy(tmp_path, iterations=40, cadence=Cadence())
    assert {path.name for path in tmp_path.glob("samples-*")} == {
        "samples-000000000.png", "samples-000000040.png"}
    assert len([row for row in rows(tmp_path) if "measures" in row]) == 21


def test_pictures_may_take_a_tenth_of_the_time() -> None:
    assert affordable(looked=0.0, trained=9.0, next_one=1.0)
    assert affordable(looked=0.5, trained=9.0, next_one=0.5)
    assert not affordable(looked=0.0, trained=8.9, next_one=1.0)
    assert not affordable(looked=1.0, trained=9.0, next_one=0.1)


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    toy(tmp_path, iterations=6, cadence=Cadence(checkpoint_seconds=0, measure_every=100))
    assert [p.name for p in sorted(tmp_path.glob("*.npz"))] == [
        "checkpoint-000000005.npz", "checkpoint-000000006.npz"]


def test_looking_at_a_run_does_not_change_it(tmp_path: Path, pictures: None) -> None:
    looked = toy(tmp_path / "a", cadence=Cadence(measure_every=7))
    unseen = toy(tmp_path / "b")
    assert all((weights(looked)[k] == weights(unseen)[k]).all() for k in weights(unseen))


def test_seeds_differ(tmp_path: Path) -> None:
    zero, one = (weights(toy(tmp_path / str(seed), seed=seed)) for seed in (0, 1))
    assert (zero["w"] != one["w"]).all()


# ------------------------------------------------------------------ resuming
def test_resumed_by_stages_is_the_same_run(tmp_path: Path) -> None:
    whole = toy(tmp_path / "whole", iterations=30, cadence=Cadence(measure_every=5))
    for stage in (7, 8, 30):
        parts = toy(tmp_path / "parts", iterations=stage, resume=True,
                    cadence=Cadence(measure_every=5))
    ours = [row for row in rows(tmp_path / "parts") if row["iteration"] not in (7, 8)]
    assert ours == [row for row in rows(tmp_path / "whole") if row["iteration"] not in (7, 8)]
    assert all((weights(whole)[k] == weights(parts)[k]).all() for k in weights(whole))


def test_killed_at_ten_random_moments_is_the_same_run(tmp_path: Path) -> None:
    iterations, out = 5000, tmp_path / "killed"  # far beyond the last kill
    context = multiprocessing.get_context("forkserver")  # one import, then a fork for each run
    context.set_forkserver_preload(["refot.systems.training.loop", "matplotlib.figure"])
    moments = np.random.default_rng().integers(150, size=10) + 150 * np.arange(10)
    for moment in moments:
        child = context.Process(target=toy_system.run_in_process, args=(out, iterations, 0.005))
        child.start()
        wait_for_iteration(out, int(moment), child)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    resumed = toy(out, iterations, resume=True, cadence=Cadence(1e9, iterations))
    whole = toy(tmp_path / "whole", iterations, cadence=Cadence(1e9, iterations))
    assert_same_run(resumed, whole, out, tmp_path / "whole")
    assert not [p for p in out.iterdir() if p.name.startswith(".")]


def wait_for_iteration(out: Path, iteration: int, child: Any) -> None:
    """Return when the metrics are as far as that, torn last line or not."""
    metrics = out / "metrics.jsonl"
    while child.is_alive():
        lines = metrics.read_bytes().count(b"\n") if metrics.exists() else -1
        if lines >= iteration:
            return
        time.sleep(0.001)
    raise AssertionError(f"ended by itself, exit code {child.exitcode}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step(tmp_path: Path, number: signal.Signals) -> None:
    class Impatient(Watcher):
        def stepped(self, iteration: int, losses: Any) -> None:
            if iteration == 3:
                os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    stopped = toy(tmp_path / "a", iterations=None, preset="slow", watcher=Impatient())
    assert stopped.stopped_by == number
    assert (stopped.iteration, stopped.iterations) == (3, 10_000)
    assert stopped.measures == {}
    assert not (tmp_path / "a" / "report.json").exists()
    assert signal.getsignal(number) is handler
    resumed = toy(tmp_path / "a", iterations=8, preset="slow", resume=True)
    whole = toy(tmp_path / "b", iterations=8, preset="slow")
    assert_same_run(resumed, whole, tmp_path / "a", tmp_path / "b")


def test_resuming_a_finished_run_does_nothing(tmp_path: Path) -> None:
    first = toy(tmp_path)
    again = toy(tmp_path, iterations=None, resume=True)
    assert (again.iteration, again.measures, again.losses) == (20, first.measures, first.losses)
    assert again.seconds == first.seconds


def test_a_torn_last_checkpoint_is_passed_over(tmp_path: Path) -> None:
    every = Cadence(checkpoint_seconds=0, measure_every=1000)
    toy(tmp_path / "a", iterations=6, cadence=every)
    last = tmp_path / "a" / "checkpoint-000000006.npz"
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.warns(UserWarning, match=r"checkpoint-000000006\.npz is passed over"):
        resumed = toy(tmp_path / "a", iterations=20, resume=True)
    assert (weights(resumed)["w"] == weights(toy(tmp_path / "b"))["w"]).all()
    for path in (tmp_path / "a").glob("*.npz"):
        path.write_bytes(b"torn")
    with (pytest.warns(UserWarning, match="passed over"),
          pytest.raises(RunFolderError, match=r"no checkpoint of .* can be read")):
        toy(tmp_path / "a", resume=True)


def test_a_torn_line_and_torn_files_are_cleared_away(tmp_path: Path) -> None:
    toy(tmp_path, iterations=6)
    before = rows(tmp_path)
    with (tmp_path / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"iteration": 7, "seconds": 0.1, "losses": {"quad')
    (tmp_path / ".checkpoint-000000007.npz.abcd").write_bytes(b"half")
    (tmp_path / ".mine").write_text("not of the run")
    toy(tmp_path, iterations=7, resume=True)
    assert rows(tmp_path)[:7] == before
    assert [row["iteration"] for row in rows(tmp_path)] == list(range(8))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [".mine"]


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    toy(tmp_path)
    before = files(tmp_path)
    with locked(tmp_path), pytest.raises(RunFolderError, match="by another process"):
        toy(tmp_path, iterations=30, resume=True)
    assert files(tmp_path) == before
    assert toy(tmp_path, iterations=30, resume=True).iteration == 30


def test_resuming_takes_what_is_not_given_from_the_run(tmp_path: Path) -> None:
    toy(tmp_path, iterations=10, seed=3, settings={"lr": 0.02})
    resumed = toy(tmp_path, iterations=None, resume=True)
    assert (resumed.identity.seed, resumed.identity.settings) == (3, {"lr": 0.02})
    assert resumed.iterations == 10


def test_resuming_under_another_backend_of_the_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stay with the run's own, and not say so; or leave it, and be another run."""
    monkeypatch.setenv("REFOT_BACKEND", "numpy")
    toy(tmp_path)
    before = files(tmp_path)
    monkeypatch.setenv("REFOT_BACKEND", "numba")
    with pytest.raises(RunFolderError, match="a run of backend numpy, and REFOT_BACKEND is numba; "
                                             "allowed: --backend numpy, REFOT_BACKEND=numpy or"):
        toy(tmp_path, iterations=30, resume=True)
    assert files(tmp_path) == before
    assert toy(tmp_path, iterations=30, resume=True, backend="numpy").iteration == 30
    monkeypatch.setenv("REFOT_BACKEND", "")
    assert toy(tmp_path, iterations=40, resume=True).identity.backend == "numpy"
    monkeypatch.delenv("REFOT_BACKEND")
    assert toy(tmp_path, iterations=50, resume=True).identity.backend == "numpy"


# ------------------------------------------------------------------ NaN
def test_nan_stops_with_step_tensor_and_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"step 8: w is not finite; .*000000007.npz") as error:
        toy(tmp_path, settings={"nan_at": 8}, cadence=Cadence(checkpoint_seconds=0))
    assert (error.value.iteration, error.value.tensor) == (8, "w")
    assert error.value.checkpoint is not None
    assert np.isfinite(load_checkpoint(error.value.checkpoint)[0]["w"]).all()
    assert rows(tmp_path)[-1]["iteration"] == 7


def test_nan_before_any_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match="none was written yet"):
        toy(tmp_path, settings={"nan_at": 1})


@pytest.mark.parametrize(("name", "expected"), [("loss", "loss quadratic"), ("refusal", "w")])
def test_nan_in_a_loss_or_refused_by_a_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, expected: str
) -> None:
    def infinite(self: Any) -> dict[str, float]:
        return {"quadratic": float("inf")}

    def refused(self: Any) -> dict[str, float]:
        self.w[0, 0] = np.inf
        raise InputError("x", "inf at [0, 0]", "finite values")

    monkeypatch.setattr(toy_system.Quadratic, "step", infinite if name == "loss" else refused)
    with pytest.raises(DivergedError) as error:
        toy(tmp_path)
    assert (error.value.iteration, error.value.tensor) == (1, expected)


def test_a_huge_sum_is_not_infinity() -> None:
    huge = np.full(8, 3e38, dtype=np.float32)  # sums to infinity in float32
    assert loop.first_not_finite({"a": huge}) is None
    assert loop.first_not_finite({"a": huge, "b": np.array([np.inf, -np.inf])}) == "b"


# ------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(("options", "said"), [
    ({}, "holds this run already; allowed: --resume"),
    ({"seed": 1}, "holds a run of seed 0"),
    ({"seed": 1, "resume": True}, "holds a run of seed 0; allowed: its own seed with --resume"),
    ({"preset": "slow", "resume": True}, "holds a run of preset quadratic"),
    ({"settings": {"lr": 0.5}, "resume": True}, "holds a run of settings"),
    ({"iterations": 5, "resume": True}, "--iterations: 5; allowed: at least 20"),
    ({"iterations": 0, "resume": True}, "--iterations: 0"),
])
def test_a_folder_belongs_to_one_run(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    toy(tmp_path)
    (tmp_path / ".checkpoint-000000021.npz.abcd").write_bytes(b"half")
    before = files(tmp_path)
    with pytest.raises(InputError, match=said):
        toy(tmp_path, **options)
    assert files(tmp_path) == before


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What every file holds, and when it was written: a refusal touches none."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


@pytest.mark.parametrize(("system", "preset", "said"), [
    ("top", "quadratic", "SYSTEM: 'top'; allowed: one of .*classifier, .*toy"),
    ("toy", "cubic", "--preset of toy: 'cubic'; allowed: one of quadratic, slow"),
])
def test_unknown_names(tmp_path: Path, system: str, preset: str, said: str) -> None:
    with pytest.raises(UnknownNameError, match=said):
        train(system, preset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(RunFolderError, match=r"--out: .*file.*can be made and written"):
            toy(out)


def test_data_that_nobody_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="toy quadratic has its own data"):
        toy(tmp_path / "out", settings={"data": "somewhere"})
    assert not (tmp_path / "out").exists()


def test_a_folder_with_a_broken_run_file(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunFolderError, match=r"run\.json does not describe a run"):
        toy(tmp_path, resume=True)


# ------------------------------------------------------------------ the command
COMMAND = "import toy_system; toy_system.register(); from refot.cli.app import main; main()"


def command(*arguments: str) -> subprocess.Popen[str]:
    return interruptible(
        [sys.executable, "-c", COMMAND, "train", *arguments], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, cwd=Path(toy_system.__file__).parent)


def test_ctrl_c_then_resume_then_nan(tmp_path: Path) -> None:
    out = tmp_path / "run"
    running = command("toy", "--preset", "slow", "--out", str(out))
    wait_until(lambda: running.poll() is not None or (
        (out / "metrics.jsonl").exists() and (out / "metrics.jsonl").read_bytes().count(b"\n") > 2),
        "three lines of metrics")
    running.send_signal(signal.SIGINT)
    said, aside = running.communicate(timeout=GIVE_UP)
    assert running.returncode == 130, aside
    assert "stopped by SIGINT; --resume" in said
    last = rows(out)[-1]["iteration"]
    assert f"goes on from checkpoint-{last:09d}.npz" in said
    again = command("toy", "--preset", "slow", "--out", str(out), "--resume", "--iterations",
                    str(last + 2))
    said, aside = again.communicate(timeout=GIVE_UP)
    assert again.returncode == 0, aside
    assert f"going on from iteration {last}" in said
    assert f"{last + 2} of {last + 2} iterations" in said


def test_the_command_lists_fails_and_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = CliRunner().invoke(app, ["train", "--list"])
    assert listed.exit_code == 0
    for name, preset in toy_system.PRESETS.items():
        assert any(name in line and preset.about in line for line in listed.output.splitlines())
    monkeypatch.setattr(toy_system.Quadratic, "step", lambda self: {"quadratic": float("nan")})
    failed = CliRunner().invoke(
        app, ["train", "toy", "--preset", "quadratic", "--out", str(tmp_path)])
    assert failed.exit_code == 1
    assert "step 1: loss quadratic is not finite" in failed.output
    unsaid = CliRunner().invoke(app, ["train", "toy"])
    assert unsaid.exit_code == 2
    assert all(name in unsaid.output for name in toy_system.PRESETS)
