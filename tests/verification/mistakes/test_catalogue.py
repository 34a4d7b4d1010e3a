"""The catalogue of mistakes: ids and sentences are unique, and every id that is used is in it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from refot.objectives import semi_dual_gradient
from refot.verification.mistakes.catalogue import (
    CATALOGUE,
    ERRATA,
    FORMULAS,
    NUMERICAL,
    mistakes_of,
)
from refot.verification.truth.right import RIGHT

ERRATA_PAGE = Path(__file__).resolve().parents[3] / "docs" / "errata.md"


def test_every_capability_has_mistakes_and_a_right_answer() -> None:
    assert FORMULAS.keys() == RIGHT.keys()
    assert all(len(mistakes_of(capability)) >= 8 for capability in RIGHT)


def test_an_id_is_a_capability_and_a_name() -> None:
    for name, mistake in CATALOGUE.items():
        assert mistake.id == name
        assert re.fullmatch(rf"{mistake.capability}\.[a-z0-9]+(-[a-z0-9]+)*", name), name


def test_no_two_mistakes_of_a_capability_are_said_in_the_same_words() -> None:
    said = Counter((mistake.capability, mistake.said) for mistake in CATALOGUE.values())
    assert {key for key, count in said.items() if count > 1} == set()


def test_what_stands_beside_the_catalogue_is_in_it() -> None:
    assert ERRATA.keys() <= CATALOGUE.keys()
    assert CATALOGUE.keys() >= NUMERICAL


def test_every_erratum_stands_on_its_page_and_is_said_once() -> None:
    page = ERRATA_PAGE.read_text(encoding="utf-8")
    assert all(f"| [{number}](#{number.lower()}) |" in page for number in ERRATA.values())
    assert not any("erratum" in mistake.sentence for mistake in CATALOGUE.values())
    assert CATALOGUE["dual.eps-missing"].said.endswith("(erratum E1)")


@pytest.mark.parametrize("name", ["dual.eps-missing", "semidual.eps-too-much"])
def test_misprints_of_duals_are_off_by_eps(name: str) -> None:
    f, g, C = np.array([0.1, 0.2]), np.array([0.3, -0.1, 0.2]), np.arange(6.0).reshape(2, 3)
    a, b, eps = np.array([0.25, 0.75]), np.array([0.5, 0.25, 0.25]), 0.5
    given = (f, g, C, a, b, eps) if name.startswith("dual") else (g, C, a, b, eps)
    mistake = CATALOGUE[name]
    off = mistake.answer(*given) - RIGHT[mistake.capability](*given)
    assert abs(abs(off) - eps) < 1e-14


def test_the_misprinted_sign_of_h_27_is_off_by_twice_b() -> None:
    g, C = np.array([0.3, -0.1, 0.2]), np.arange(6.0).reshape(2, 3)
    a, b, eps = np.array([0.25, 0.75]), np.array([0.5, 0.25, 0.25]), 0.5
    printed = CATALOGUE["semidual_gradient.b-negated"].answer(g, C, a, b, eps)
    right = semi_dual_gradient(g, C, a, b, eps, backend="numpy")
    assert abs(right - printed - 2 * b).max() < 1e-15
