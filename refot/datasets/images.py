"""Labelled images, as bytes 0..255, and how they become the numbers that networks take. Nothing is
downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refot.arrays import Array, InputError, ShapeError, TypeInputError, as_count


class DataFileError(InputError):
    """A data file is missing, truncated, or not what its name says; the message names the file."""


@dataclass(frozen=True)
class LabelledImages:
    """images (n, h, w) or (n, h, w, 3), bytes 0..255; labels (n,), whole numbers from 0."""

    images: Array
    labels: Array

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ShapeError("labels", f"{len(self.labels)}", f"one for each of the "
                             f"{len(self.images)} images")

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, index: Array) -> LabelledImages:
        """The images with the indices `index` (k,), in that order, and their labels."""
        return LabelledImages(self.images[index], self.labels[index])

    def split(self, held_out: int, seed: int = 0) -> tuple[LabelledImages, LabelledImages]:
        """(the other images, `held_out` images), where the latter are drawn at random without
        replacement, from the seed."""
        if as_count(held_out, "held_out") >= len(self):
            raise InputError("held_out", f"{held_out}", f"fewer than the {len(self)} images")
        order = np.random.default_rng(seed).permutation(len(self))
        return self.taken(order[held_out:]), self.taken(order[:held_out])


def padded(images: Array, side: int = 32) -> Array:
    """Images (n, h, w) with zeros around them, (n, side, side). The networks of Bréchet et al. 2019
    take 32 x 32.

    Raises ShapeError for images that are larger, or whose margins would not be equal.
    """
    _, h, w = images.shape
    if h > side or w > side or (side - h) % 2 or (side - w) % 2:
        raise ShapeError("images", f"{h} x {w}",
                         f"at most {side} x {side}, smaller by an even number")
    y, x = (side - h) // 2, (side - w) // 2
    return np.pad(images, ((0, 0), (y, y), (x, x)))


def scaled(images: Array, low: float, high: float) -> Array:
    """Bytes 0..255 mapped to float32 from `low` to `high`: -1 to 1 for a network that ends in tanh,
    0 to 1 for one that ends in a sigmoid."""
    return (low + (high - low) * (images / np.float32(255))).astype(np.float32)


def data_file(folder: str | os.PathLike[str], names: list[str]) -> Path:
    """The path of the first of these names that the folder has. Raises DataFileError if it has
    none, TypeInputError if `folder` is no path."""
    if not isinstance(folder, str | os.PathLike):
        raise TypeInputError("data", f"{folder!r}", "the name of a folder")
    folder = Path(folder)
    if not os.path.isdir(folder):  # unlike Path.is_dir, False for a name that is too long
        raise DataFileError("data", f"{folder} is not a folder", "a folder that holds " + names[0])
    for name in names:
        if os.path.isfile(folder / name):
            return folder / name
    raise DataFileError("data", f"{folder} has no {names[0]}", "one of " + ", ".join(names))
