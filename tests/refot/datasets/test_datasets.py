"""Real data: shapes, ranges, and what is said where the package or the argument is wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from refot.arrays import InputError
from refot.datasets import scikit

pytest.importorskip("sklearn")


@pytest.mark.parametrize("species", list(scikit.IRIS_SPECIES))
def test_iris_species(species: str) -> None:
    flowers = scikit.iris(species)
    assert flowers.shape == (50, 4)
    assert 0.1 <= flowers.min() <= flowers.max() <= 7.9


def test_species_differ() -> None:
    setosa, virginica = scikit.iris("setosa"), scikit.iris("virginica")
    assert setosa[:, 2].mean() == pytest.approx(1.462)  # petal length in cm, Fisher 1936
    assert virginica[:, 2].mean() == pytest.approx(5.552)


def test_digits_and_histograms() -> None:
    images = scikit.digits(3, 20)
    assert images.shape == (20, 64)
    assert images.min() == 0
    assert images.max() == 16
    weights = scikit.digit_histogram(3, 4)
    assert weights.sum() == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(weights * images[4].sum(), images[4], rtol=1e-15)


def test_pixel_grid_runs_row_by_row() -> None:
    grid = scikit.pixel_grid(4)
    assert grid.shape == (16, 2)
    np.testing.assert_array_equal(grid[:2], [[0.125, 0.125], [0.125, 0.375]])


@pytest.mark.parametrize(("call", "named"), [
    (lambda: scikit.iris("rose"), "species"),
    (lambda: scikit.digits(10, 5), "label"),
    (lambda: scikit.digits("3", 5), "label"),
    (lambda: scikit.digits(3, 0), "count"),
    (lambda: scikit.digits(3, 10_000), "count"),
    (lambda: scikit.pixel_grid(0), "side"),
])
def test_wrong_arguments_are_named(call, named: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=named):
        call()


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(scikit.DataUnavailableError, match=r"pip install 'refot\[data\]'"):
        scikit.iris("setosa")
