"""Checkpoints: named arrays and a JSON header in one `.npz` file, which is whole or does not exist.

Nothing is pickled, so that loading a file never runs code. A file is first written under another
name in the same folder, and then renamed: a run that is killed during that leaves the previous
checkpoint as it was. Loading compares the checksum of every array.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from refot.arrays import Array, InputError, TypeInputError, namespace
from refot.files import UnreadableError, parsed, read_arrays, whole_file

FORMAT = "refot checkpoint 1"
"""The format that the header names; a file that names another is refused."""


class CheckpointError(InputError):
    """A file that is no checkpoint or is damaged, or whose arrays do not fit the network."""


def save_checkpoint(path: str | Path, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
    """Write `arrays` (of NumPy or CuPy, of numbers) and `meta` (values that JSON can express) to
    `path`.

    Raises TypeInputError, before anything is written, for a value that cannot be stored.
    """
    try:
        header = json.dumps({"format": FORMAT, "meta": dict(meta)}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeInputError("meta", f"not JSON ({error})", "what JSON holds") from None
    members = {f"arrays/{name}": on_host(array) for name, array in arrays.items()}
    for name, array in members.items():
        if array.dtype.hasobject:
            raise TypeInputError(name, f"dtype {array.dtype}", "numbers")
    members["header"] = np.frombuffer(header.encode(), dtype=np.uint8)
    with whole_file(Path(path)) as file:
        np.savez(file, **members)


def load_checkpoint(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """(arrays as NumPy's, meta) of a checkpoint. Raises CheckpointError for a file that is none, or
    is damaged."""
    try:
        members = read_arrays(Path(path))
        if "header" not in members:
            raise UnreadableError("it has no header")
        header = parsed(members.pop("header").tobytes())
        if not isinstance(header, dict) or not isinstance(header.get("meta"), dict):
            raise UnreadableError("its header is not that of a checkpoint")
        if header.get("format") != FORMAT:
            raise UnreadableError(f"its format is {header.get('format')!r:.40}")
        meta: dict[str, Any] = header["meta"]
    except UnreadableError as error:
        raise CheckpointError("path", f"{path}: {error}", f"a whole file of {FORMAT!r}") from error
    return {name.removeprefix("arrays/"): array for name, array in members.items()}, meta


def copy_into(target: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    """Write the arrays of a checkpoint into those of a network, in place.

    Raises CheckpointError, before anything is written, if names, shapes or dtypes differ.
    """
    if target.keys() != arrays.keys():
        odd = ", ".join(sorted(target.keys() ^ arrays.keys()))
        raise CheckpointError("arrays", f"names that only one side has: {odd}", "the same names")
    for name, array in arrays.items():
        w = target[name]
        if (array.shape, array.dtype) != (w.shape, w.dtype):
            raise CheckpointError(name, f"{array.dtype} {array.shape}", f"{w.dtype} {w.shape}")
    for name, array in arrays.items():
        target[name][...] = namespace(target[name]).asarray(array)


def on_host(array: Array) -> Array:
    """`array` as an array of NumPy. An array of CuPy is copied to main memory by its method `get`.
    """
    return array.get() if hasattr(array, "get") else np.asarray(array)


# ------------------------------------------------------------------ random draws
def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """The state of a PCG64 generator (the kind that `default_rng` makes), in values for JSON."""
    return dict(_pcg64(rng).state)


def restore_generator(rng: np.random.Generator, state: Mapping[str, Any]) -> None:
    """Put `rng` into a state that `generator_state` returned: it then draws the same numbers again.

    Raises CheckpointError for anything else, TypeInputError for a generator that is not PCG64.
    """
    try:
        _pcg64(rng).state = cast(Any, dict(state))
    except (TypeError, ValueError, KeyError) as error:
        raise CheckpointError("state", f"{type(error).__name__}: {error}",
                              "what generator_state returns") from None


def _pcg64(rng: np.random.Generator) -> np.random.PCG64:
    generator = getattr(rng, "bit_generator", None)
    if not isinstance(generator, np.random.PCG64):
        raise TypeInputError("rng", f"{type(generator).__name__}", "a generator of PCG64")
    return generator
