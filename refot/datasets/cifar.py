"""CIFAR-10 from a folder, in its "binary version" or its "python version".

The python version is pickled; `inert_pickle` reads it without running any code. In both versions an
image is 3072 bytes: 1024 red, 1024 green and 1024 blue ones, each colour row by row.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from refot.arrays import Array, lookup
from refot.datasets.images import DataFileError, LabelledImages, data_file
from refot.datasets.inert_pickle import Call, read_inert
from refot.files import UnreadableError, read_plain

PARTS = {"train": [f"data_batch_{k}" for k in range(1, 6)], "test": ["test_batch"]}
"""The names of the files of each part, without a suffix."""

RECORD = 3072
"""The bytes of an image."""

LARGEST = 64 << 20
"""The most bytes of a file that is read: twice what a batch of 10,000 images takes."""


def cifar10(folder: Path | str, part: str = "train") -> LabelledImages:
    """CIFAR-10, images (n, 32, 32, 3) with labels 0..9: the five batches of "train", or that of
    "test".

    The folder holds the files `data_batch_1.bin`, ... (binary version) or `data_batch_1`, ...
    (python version). Raises DataFileError, which names the file.
    """
    batches = [read_batch(data_file(folder, [f"{name}.bin", name]))
               for name in lookup(PARTS, part, "part")]
    return LabelledImages(np.concatenate([batch.images for batch in batches]),
                          np.concatenate([batch.labels for batch in batches]))


def read_batch(path: Path) -> LabelledImages:
    """One batch, in either version. Raises DataFileError."""
    try:
        data = read_plain(path, LARGEST)
    except UnreadableError as error:
        raise DataFileError("data", f"{path}: {error}", "a batch of CIFAR-10") from None
    pixels, labels = (_binary if path.suffix == ".bin" else _pickled)(data, path)
    if len(labels) == 0 or not (labels.min() >= 0 and labels.max() <= 9):
        raise DataFileError("data", f"{path}: no labels, or some that are not 0..9",
                            "a batch of CIFAR-10")
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return LabelledImages(np.ascontiguousarray(images), labels)


def _binary(data: bytes, path: Path) -> tuple[Array, Array]:
    """(pixels (n, 3072), labels (n,)) of the binary version: before each image a byte for its
    label."""
    if len(data) % (RECORD + 1):
        raise DataFileError("data", f"{path}: {len(data)} bytes, truncated or no batch",
                            f"a multiple of {RECORD + 1}")
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, RECORD + 1)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _pickled(data: bytes, path: Path) -> tuple[Array, Array]:
    """(pixels (n, 3072), labels (n,)) of the python version: a pickled dict with an array b"data"
    of bytes and a list b"labels"."""
    try:
        held = read_inert(data)
        if not isinstance(held, dict):
            raise ValueError(f"{type(held).__name__} where dict belongs")
        batch = {_plain(key): value for key, value in held.items()}
        labels = batch[b"labels"]
        if not (isinstance(labels, list) and all(type(label) is int for label in labels)):
            raise ValueError("its labels are no list of whole numbers")
        return _array(batch[b"data"], len(labels)), np.array(labels, dtype=np.int64)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise DataFileError("data", f"{path}: {error}",
                            "a whole python batch of CIFAR-10 (protocol 2 or 3)") from None


def _array(call: Any, n: int) -> Array:
    """The array (n, 3072) of bytes that NumPy pickled as `call`. Raises ValueError for any
    other."""
    # NumPy's state of an array: a version, the shape, the dtype, whether it is in Fortran's order
    # (columns first), and the bytes.
    match call:
        case Call(state=(1, shape, Call("numpy.dtype", (kind, *_)), False, raw)):
            if shape == (n, RECORD) and _plain(kind) == b"u1":
                return np.frombuffer(_plain(raw), dtype=np.uint8).reshape(n, RECORD)
    raise ValueError(f"its data are no array ({n}, {RECORD}) of bytes")


def _plain(value: Any) -> bytes:
    """The bytes of a value that Python 3 pickled as bytes or Python 2 as text. Raises ValueError
    for anything else."""
    match value:
        case bytes():
            return value
        case str(text):
            return text.encode("latin-1")
    raise ValueError(f"{type(value).__name__} where bytes belong")
