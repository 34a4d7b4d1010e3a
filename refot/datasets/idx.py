"""IDX files, the format of MNIST: a magic number, the sizes, and the bytes; raw or gzipped."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from refot.arrays import Array, lookup
from refot.datasets.images import DataFileError, LabelledImages, data_file

IMAGES, LABELS = 0x0803, 0x0801
"""Magic numbers: unsigned bytes (08) along three axes, and along one."""

KINDS = {IMAGES: "images (IDX 0x0803)", LABELS: "labels (IDX 0x0801)"}

PARTS = {"train": "train", "test": "t10k"}

LARGEST = 1 << 30
"""The most bytes that a header may announce: a damaged one must not fill the memory."""


def mnist_folder(folder: str | os.PathLike[str], part: str) -> LabelledImages:
    """`part` "train" or "test" of MNIST, from the four files as published, or unpacked.

    Raises DataFileError, naming the file: missing, truncated, too long, swapped, of two sets.
    """
    stem = lookup(PARTS, part, "part")
    paths = [data_file(folder, names(f"{stem}-{what}"))
             for what in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    images, labels = (read_idx(path, magic) for path, magic in
                      zip(paths, (IMAGES, LABELS), strict=True))
    if images.shape[1:] != (28, 28):
        raise DataFileError("data", f"{paths[0]}: images of {images.shape[1:]}", "28 x 28, MNIST's")
    if len(labels) != len(images):
        raise DataFileError("data", f"{paths[1]}: {len(labels)} labels",
                            f"{len(images)}, as many as the images of {paths[0].name}")
    if labels.max() > 9:
        raise DataFileError("data", f"{paths[1]}: a label {labels.max()}", "digits 0..9")
    return LabelledImages(images, labels.astype(np.int64))


def names(name: str) -> list[str]:
    """How a file may be called: as published, unpacked, or with a dot for the last hyphen but one.
    """
    dotted = name.replace("-idx", ".idx")
    return [f"{name}.gz", name, f"{dotted}.gz", dotted]


def read_idx(path: Path, magic: int) -> Array:
    """The bytes of an IDX file with that magic number, in its shape, uint8. Raises DataFileError.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(cast(BinaryIO, file), path, magic)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError("data", f"{path}: {error}", "a whole file, gzipped or not") from None


def _read(file: BinaryIO, path: Path, magic: int) -> Array:
    found = int.from_bytes(file.read(4), "big")
    if found != magic:
        other = KINDS.get(found, f"no IDX bytes (it begins {found:#010x})")
        raise DataFileError("data", f"{path} holds {other}", KINDS[magic])
    head = file.read(4 * (magic & 0xFF))
    shape = tuple(int.from_bytes(head[k:k + 4], "big") for k in range(0, len(head), 4))
    size = math.prod(shape)
    if len(shape) != magic & 0xFF or not 0 < size <= LARGEST:
        raise DataFileError("data", f"{path}: sizes {shape}", f"1 to {LARGEST} bytes")
    data = file.read(size + 1)
    if len(data) != size:
        state = "truncated" if len(data) < size else "too long"
        raise DataFileError("data", f"{path} is {state}", f"{size} bytes after the header")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)
