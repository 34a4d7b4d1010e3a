"""Real data for checks of implementations: Iris and 8x8 digits, from scikit-learn, which
`pip install 'refot[data]'` installs.

Points are float64 in the units of the data sets: centimetres for Iris, grey levels 0..16 for the
digits. Nothing is downloaded: both sets are part of scikit-learn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array, InputError, as_count, lookup


class DataUnavailableError(ImportError):
    """The package that contains a data set is not installed; the message says which one it is and
    how to get it."""


IRIS_SPECIES = {"setosa": 0, "versicolor": 1, "virginica": 2}


def _load(name: str) -> Any:
    try:
        from sklearn import datasets
    except ImportError:
        raise DataUnavailableError(
            f"{name}: scikit-learn is not installed; pip install 'refot[data]'"
        ) from None
    return getattr(datasets, f"load_{name}")()


def iris(species: str) -> Array:
    """The 50 flowers of one species, (50, 4) in cm: sepal length, width, petal length, width."""
    label = lookup(IRIS_SPECIES, species, "species")
    data = _load("iris")
    return np.ascontiguousarray(data.data[data.target == label])


def digits(label: int, count: int) -> Array:
    """The first `count` 8x8 images of one digit, (count, 64), grey levels 0..16."""
    if label not in range(10):
        raise InputError("label", f"{label!r}", "a digit 0..9")
    data = _load("digits")
    images = data.data[data.target == label]
    if as_count(count, "count") > len(images):
        raise InputError("count", f"{count}", f"at most {len(images)} images of this digit")
    return np.ascontiguousarray(images[:count])


def digit_histogram(label: int, index: int = 0) -> Array:
    """One 8x8 image as weights of the pixels, (64,), sum 1; empty pixels have weight 0."""
    image = digits(label, index + 1)[index]
    return image / image.sum()


def pixel_grid(side: int = 8) -> Array:
    """The pixel centres of a side x side image on the unit square, (side^2, 2), row by row."""
    centres = (np.arange(as_count(side, "side")) + 0.5) / side
    return np.stack(np.meshgrid(centres, centres, indexing="ij"), axis=-1).reshape(-1, 2)
