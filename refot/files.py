"""Reading files that anyone may have made, within limits; and writing files whole or not at all.

Reading: UnreadableError is raised for a path that is not a plain file (reading a pipe could wait
for ever), a file above a size limit, JSON that is nested too deeply or holds numbers beyond the
floats, and an archive that unpacks to more bytes than it may. Its message says why; the caller adds
the name of the file.

Writing: a program may be killed at any time, so a file gets its name only when it is complete.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from refot.arrays import Array

LARGEST_JSON = 256 << 20
"""Bytes: the largest JSON file that is read."""

DEEPEST = 32
"""Levels: the deepest nesting of JSON that is read. Files of refot have fewer than ten."""

LONGEST_NUMBER = 400
"""Digits: the longest whole number that is read. float64 ends at 309 digits."""


class UnreadableError(ValueError):
    """A file is not what it should be, or exceeds a limit; the message says why."""


def open_plain(path: Path) -> IO[bytes]:
    """A plain file, opened for reading. Anything else raises UnreadableError at once: the flag
    O_NONBLOCK keeps the opening of a pipe from waiting."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
                             | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:  # ValueError if the name holds a NUL
        raise UnreadableError(getattr(error, "strerror", None) or str(error)) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableError("not a plain file")
    return open(descriptor, "rb")


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a plain file. Raises UnreadableError if there are more than `most`."""
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise UnreadableError(f"{size} bytes; at most {most}")
        try:
            return file.read(most)
        except OSError as error:
            raise UnreadableError(error.strerror or str(error)) from None


# ------------------------------------------------------------------ JSON
def read_json(path: Path, most: int = LARGEST_JSON) -> Any:
    """The content of a JSON file of at most `most` bytes, under the limits of `parsed`."""
    return parsed(read_plain(path, most))


def parsed(text: bytes) -> Any:
    """The content of a JSON text. Raises UnreadableError for more than DEEPEST levels, a name that
    stands twice in an object, and numbers that are not finite floats."""
    import json  # here, and zipfile below: `import refot` would take 8 ms longer

    try:
        found = json.loads(text.decode("utf-8"), parse_constant=_no_number, parse_float=_finite,
                           parse_int=_whole, object_pairs_hook=_each_once)
    except UnicodeDecodeError:
        raise UnreadableError("not UTF-8") from None
    except RecursionError:
        raise UnreadableError(f"nested more than {DEEPEST} deep") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}: " if b"\n" in text else ""
        raise UnreadableError(f"{place}no JSON ({error.msg})") from None
    level = [found]
    for _ in range(DEEPEST):
        level = [part for each in level if isinstance(each, list | dict)
                 for part in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return found
    raise UnreadableError(f"nested more than {DEEPEST} deep")


def _no_number(text: str) -> NoReturn:
    raise UnreadableError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise UnreadableError("a number beyond the range of floats")
    return number


def _whole(text: str) -> int:
    _finite(text)
    if len(text) > LONGEST_NUMBER:
        raise UnreadableError(f"a whole number of {len(text)} digits")
    return int(text)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnreadableError("a name twice in one object")
    return found


# ------------------------------------------------------------------ archives of arrays
def read_arrays(path: Path, most: int | None = None) -> dict[str, Array]:
    """Every array of an `.npz` file, by name. Pickles are refused.

    Unpacked, all arrays together may have at most `most` bytes: by default as many as the file,
    which is enough for a file that is not compressed.
    """
    import zipfile

    with open_plain(path) as file:
        try:
            if not zipfile.is_zipfile(file):
                raise UnreadableError("not a whole archive")
            _check_sizes(file, os.fstat(file.fileno()).st_size if most is None else most)
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
        except UnreadableError:
            raise
        except Exception as error:  # noqa: BLE001 - a broken archive raises almost anything
            raise UnreadableError(f"{type(error).__name__}: {error}") from None
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise UnreadableError(f"{name[:80]!r} is no array")
    return arrays


def _check_sizes(file: IO[bytes], most: int) -> None:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    size = sum(member.file_size for member in members)
    if size > most:
        raise UnreadableError(f"unpacks to {size} bytes; allowed: {most}")
    names = {member.filename for member in members}
    if len(names) < len(members):
        raise UnreadableError("a name twice in the archive")


# ------------------------------------------------------------------ writing
@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write into, which takes the place of `path` when the block ends without an error.

    Until then it has a temporary name in the same folder, so that a program that is killed while it
    writes leaves what was there before, and nobody ever reads half a file.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}")
    # O_EXCL makes this fail where somebody has put a file or a link of that name. The umask takes
    # from 0o666 the permissions that new files do not get here.
    handle = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0),
                     0o666)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # the bytes must reach the disk before the new name does
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8"))
