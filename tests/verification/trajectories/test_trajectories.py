"""Golden trajectories: proved by an independent port in PyTorch, and able to tell wrong ports."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from json_schema import JsonSchema
from typer.testing import CliRunner

from refot.arrays import UnknownNameError
from refot.cli.app import app
from refot.verification.runs.run import run
from refot.verification.subjects.loading import as_subject
from refot.verification.trajectories import steps as trajectories
from refot.verification.trajectories.generate import text, write
from refot.verification.trajectories.steps import FOLDER, algorithms, differences, load, question
from refot.verification.trajectories.systems import GOLDEN, train_step

ALL = list(GOLDEN)
Edit = Callable[[dict[str, Any]], None]


def worst(algorithm: str, answer: Any) -> float:
    return max(each.relative for each in differences(load(algorithm), answer))


def assert_the_same(algorithm: str, answer: Any) -> None:
    """To 1e-9 of a move, the last digits being those of a BLAS; 1e-6 of a running mean, which holds
    a bias before batch norm, and that is the rounding of a zero gradient over Adam's eps."""
    for each in differences(load(algorithm), answer):
        assert each.relative < (1e-6 if each.name.endswith(".mean") else 1e-9), each


# ------------------------------------------------------------------ the files
def test_there_is_a_file_for_each_algorithm_and_they_are_small() -> None:
    assert algorithms() == sorted(ALL)
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1.5e6


@pytest.mark.parametrize("algorithm", ALL)
def test_the_file_is_what_refot_computes(algorithm: str) -> None:
    """On any processor to rounding; twice here, the same bytes."""
    file, made = load(algorithm), json.loads(text(algorithm))
    assert_the_same(algorithm, made["steps"])
    for key in file.keys() - {"steps"}:
        assert made[key] == file[key], key
    for step, again in zip(file["steps"], made["steps"], strict=True):
        assert step["batch"] == again["batch"]
    assert text(algorithm) == text(algorithm)


@pytest.mark.parametrize("algorithm", ALL)
def test_the_file_obeys_the_schema(algorithm: str) -> None:
    schema = JsonSchema(json.loads((FOLDER / "schema.json").read_text(encoding="utf-8")))
    assert schema.violations(load(algorithm), schema.root) == []
    broken = load(algorithm)
    del broken["steps"][1]["losses"]
    assert schema.violations(broken, schema.root) != []


@pytest.mark.parametrize("algorithm", ALL)
def test_inputs_are_multiples_of_a_1024th(algorithm: str) -> None:
    file = load(algorithm)
    names = [name for name in file["weights"] if re.search(r"\.(W|b)$", name)]
    inputs = [file["weights"][name] for name in names]
    inputs += [values for step in file["steps"] for values in step["batch"].values()]
    for values in inputs:
        scaled = 1024 * np.array(values)
        np.testing.assert_array_equal(scaled, np.round(scaled))


def test_every_step_moves_every_weight_that_is_compared() -> None:
    for algorithm in ALL:
        file = load(algorithm)
        for step in file["steps"]:
            for name, w in step["weights"].items():
                assert w != file["weights"][name], (algorithm, name)


def test_writing_leaves_whole_files(tmp_path: Any) -> None:
    write(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{a}.json" for a in ALL)
    assert json.loads((tmp_path / "sdot.json").read_text())["algorithm"] == "sdot"


# ------------------------------------------------------------------ they are right
@pytest.mark.peers
@pytest.mark.parametrize("algorithm", ALL)
def test_autograd_takes_the_same_three_steps(algorithm: str) -> None:
    """Losses, gradients and weights of `torch_port`, which shares nothing with refot."""
    pytest.importorskip("torch")
    import torch_port

    assert_the_same(algorithm, torch_port.train_step(*question(load(algorithm))))


# ------------------------------------------------------------------ they tell wrong from right
KEEPS_ARGUMENTS = "train_step.keeps-arguments"
"""What a wrong answer has nothing to do with."""


def test_refot_as_a_subject_passes() -> None:
    report = run(as_subject(train_step, "refot", "train_step"))
    checks = {check.id: check.status for check in report.checks if check.status != "not_provided"}
    asked = [*ALL, "keeps-arguments"]
    assert checks == {f"train_step.{what}": "passed" for what in asked}


def altered(edit: Edit) -> Any:
    """A subject whose answers are refot's, edited."""

    def wrong(*arguments: Any) -> Any:
        answer = train_step(*arguments)
        for step in answer:
            edit(step)
        return answer

    return as_subject(wrong, "altered", "train_step")


def nothing(step: dict[str, Any]) -> None:
    del step


def without_gradients(step: dict[str, Any]) -> None:
    del step["gradients"]


def one_weight(step: dict[str, Any]) -> None:
    for w in step["weights"].values():
        w.flat[-1] += 1e-4


def a_loss(step: dict[str, Any]) -> None:
    for name in step["losses"]:
        step["losses"][name] *= 1.001


def a_gradient(step: dict[str, Any]) -> None:
    for each in step["gradients"]:
        for g in each["gradients"].values():
            g *= 1.001


def not_a_number(step: dict[str, Any]) -> None:
    for w in step["weights"].values():
        w.flat[0] = np.nan


def a_missing_weight(step: dict[str, Any]) -> None:
    del step["weights"][next(iter(step["weights"]))]


@pytest.mark.parametrize(("edit", "status"), [
    (nothing, "passed"), (without_gradients, "passed"), (one_weight, "failed"),
    (a_loss, "failed"), (a_gradient, "failed"), (not_a_number, "failed"),
    (a_missing_weight, "error")])
def test_what_is_altered_is_found(edit: Edit, status: str) -> None:
    checks = [c for c in run(altered(edit)).checks if c.id.startswith("train_step.")
              and c.id != KEEPS_ARGUMENTS]
    found = {c.status for c in checks if c.status != "not_provided"}
    assert found == {status}, [c.message for c in checks]


MISTAKES: list[tuple[str, str, Callable[[dict[str, Any]], None]]] = [
    ("sdot", "the average holds its start", lambda s: s.update(K=s["K"] + 1)),
    ("sdot", "the exponent is 1", lambda s: s.update(exponent=1.0)),
    ("sdotnn", "a soft transform", lambda s: s.update(lam=0.01)),
    ("sinkhorn_autodiff", "an iteration more", lambda s: s.update(L=s["L"] + 1)),
    ("sinkhorn_autodiff_learned", "looser clipping", lambda s: s.update(c=0.6)),
    ("wgan_gp", "half the penalty", lambda s: s.update(penalty=5.0)),
    ("wgan_clip", "tighter clipping", lambda s: s.update(c=0.29)),
    ("eotgm", "another lam", lambda s: s.update(lam=0.55)),
    ("info_sinkhorn", "lam Q left out", lambda s: s.update(lam=1e-9)),
    ("wgan_gp", "Adam's eps 1e-4", lambda s: s["optimisers"]["f"].update(eps=1e-4)),
    ("mmd_energy", "Adam's betas",
     lambda s: s["optimisers"]["g"].update(beta1=0.9)),
    ("wgan_clip", "RMSProp's alpha", lambda s: s["optimisers"]["f"].update(alpha=0.9)),
]


@pytest.mark.peers
@pytest.mark.parametrize(("algorithm", "what", "change"), MISTAKES)
def test_a_port_with_a_mistake_is_told(
    algorithm: str, what: str, change: Callable[[dict[str, Any]], None]
) -> None:
    pytest.importorskip("torch")
    import torch_port

    name, settings, weights, batches = question(load(algorithm))
    settings = copy.deepcopy(settings)
    change(settings)
    if algorithm == "sdot" and "start" in what:
        batches = [{"z": np.concatenate([b["z"][:1], b["z"]])} for b in batches]
    assert worst(algorithm, torch_port.train_step(name, settings, weights, batches)) > (
        trajectories.OF_A_MOVE), what


@pytest.mark.parametrize("answer", [None, 3, [], [{}, {}, {}], [None] * 3, [{"losses": 1}] * 3])
def test_an_answer_that_is_none_is_an_error_and_no_crash(answer: Any) -> None:
    report = run(as_subject(lambda *_: answer, "odd", "train_step"))
    found = {c.status for c in report.checks
             if c.id.startswith("train_step.") and c.id != KEEPS_ARGUMENTS}
    assert found - {"not_provided"} == {"error"}


def test_an_algorithm_that_is_not_there_is_not_provided() -> None:
    def only_sdot(algorithm: str, *rest: Any) -> Any:
        if algorithm != "sdot":
            raise NotImplementedError(algorithm)
        return train_step(algorithm, *rest)

    report = run(as_subject(only_sdot, "sdot only", "train_step"))
    status = {c.id: c.status for c in report.checks}
    assert status["train_step.sdot"] == "passed"
    assert status["train_step.wgan_gp"] == "not_provided"


def test_the_check_names_the_first_step_that_differs() -> None:
    def from_the_second_on(*arguments: Any) -> Any:
        answer = train_step(*arguments)
        for step in answer[1:]:
            one_weight(step)
        return answer

    report = run(as_subject(from_the_second_on, "late", "train_step"))
    messages = [c.message for c in report.checks if c.status == "failed"]
    assert len(messages) == len(ALL)
    assert all(message.startswith("step 2, weight") for message in messages)


# ------------------------------------------------------------------ reading
def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(UnknownNameError, match="sdotn"):
        load("sdotn")


def test_the_command_line_lists_and_shows() -> None:
    listed = CliRunner().invoke(app, ["trajectories", "list"])
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.output.splitlines()] == algorithms()
    shown = CliRunner().invoke(app, ["trajectories", "show", "sdot"])
    assert json.loads(shown.output) == load("sdot")
