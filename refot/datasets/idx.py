"""IDX files, the format of MNIST: a magic number, which says what the file holds, the sizes of the
axes, and then the bytes of the array. The file may be gzipped."""

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
"""Magic numbers: 08 means unsigned bytes, and the last digit is the number of axes."""

KINDS = {IMAGES: "images (IDX 0x0803)", LABELS: "labels (IDX 0x0801)"}
"""What a magic number announces, for messages."""

PARTS = {"train": "train", "test": "t10k"}
"""How the names of the files of each part begin."""

LARGEST = 1 << 30
"""The most bytes that a header may announce, so that a damaged header cannot fill the memory."""


def mnist_folder(folder: str | os.PathLike[str], part: str) -> LabelledImages:
    """The `part` "train" or "test" of MNIST, from its two files as published, or unpacked.

    Raises DataFileError, which names the file, if one is missing, truncated or too long, if images
    and labels are exchanged, or if they are not equally many.
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
    """The names that a file may have: as published or unpacked, and both with a dot before "idx",
    as some sites write it."""
    dotted = name.replace("-idx", ".idx")
    return [f"{name}.gz", name, f"{dotted}.gz", dotted]


def read_idx(path: Path, magic: int) -> Array:
    """The array of an IDX file, uint8. Raises DataFileError unless it has that magic number."""
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
