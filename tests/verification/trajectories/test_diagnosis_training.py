"""The symptoms of a wrong training step: each is told, and nothing is said where none is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refot.verification.trajectories.steps import OF_A_MOVE, differences, load, question
from refot.verification.trajectories.symptoms import training_cause
from refot.verification.trajectories.systems import train_step

Edit = Callable[[list[Any]], None]


def said_of(algorithm: str, edit: Edit) -> str:
    """What is said of refot's own steps, edited."""
    file = load(algorithm)
    answer = train_step(*question(file))
    edit(answer)
    return training_cause(file, list(differences(file, answer)), answer, OF_A_MOVE)


def scaled_psi(factor: float) -> Edit:
    def edit(steps: list[Any]) -> None:
        for step in steps:
            step["weights"]["psi"] *= factor
    return edit


def moved(name: str, first: int = 0) -> Edit:
    def edit(steps: list[Any]) -> None:
        for step in steps[first:]:
            step["weights"][name] += 1.0
    return edit


def negated(steps: list[Any]) -> None:
    for step in steps:
        for each in step["gradients"]:
            for g in each["gradients"].values():
                g *= -1


def nothing(steps: list[Any]) -> None:
    del steps


@pytest.mark.parametrize(("algorithm", "edit", "said"), [
    ("sdot", scaled_psi(3 / 4), "the average holds its start"),
    ("info_sinkhorn", moved("D/trunk.0.W"), "the step of Q moves the trunk"),
    ("eotgm", negated, "minus the gradient"),
    ("eotgm", moved("g/0.W", 1), "the first step is right"),
], ids=["average", "trunk", "minus", "later"])
def test_a_symptom_is_told(algorithm: str, edit: Edit, said: str) -> None:
    assert said_of(algorithm, edit).startswith(said)


@pytest.mark.parametrize(("algorithm", "edit"), [
    ("sdot", nothing), ("sdot", scaled_psi(0.7)), ("info_sinkhorn", moved("D/D2.0.W")),
    ("eotgm", moved("g/0.W")), ("sdotnn", moved("psi/0.W"))],
    ids=["right", "another factor", "a head", "a weight", "no average"])
def test_nothing_is_said_where_no_symptom_is(algorithm: str, edit: Edit) -> None:
    assert said_of(algorithm, edit) == ""


def test_a_number_that_is_none_is_no_symptom() -> None:
    def not_finite(steps: list[Any]) -> None:
        for step in steps:
            step["weights"]["psi"][...] = np.nan

    assert said_of("sdot", not_finite) == ""
