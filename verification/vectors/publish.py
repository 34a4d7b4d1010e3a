"""Build the vectors as packages of their own: `python -m refot.verification.vectors.publish --out
DIST` writes refot-vectors as a Python wheel, an npm tarball and a zip.

Each holds one folder `refot-vectors-VERSION`: the JSON files, the same as plain text for languages
without JSON, the readers, a README and the dedication to the public domain. The same files give the
same bytes every time.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from refot.files import whole_file
from refot.verification.subjects.capabilities import Role, names_of

from .answers import FOLDER, load

VERSION = "1.0"
"""The version: its first number changes with the format, its second with the cases."""

LICENSE = """CC0 1.0 Universal (SPDX: CC0-1.0)

The authors have dedicated these vectors and readers to the public domain by waiving all rights to
them worldwide under copyright law, to the extent allowed by law. You can copy, modify and
distribute them, even for commercial purposes, without asking. They come without any warranty.
The legal text: https://creativecommons.org/publicdomain/zero/1.0/legalcode
"""

README = f"""# refot-vectors {VERSION}

Certified test vectors of entropic optimal transport: small problems with answers that are proven
to at least 30 digits, for test suites in any language.

* `NAME.json`: the cases of one capability, as `schema.json` describes them. A number of an answer
  is right if it is within `rad + tolerance` of `mid`.
* `text/NAME.txt`: the same, one array a line: `in NAME axes n m x x ...`, then
  `out NAME axes n m tolerance mid rad mid rad ...` (nan where nothing is due).
* `read_vectors.py`, `.mjs`, `.c`, `.rs`, `.jl`: readers to copy, each with a softmin as example.
  The one in Julia has not been run by its authors.

The data and the readers are in the public domain (CC0 1.0).
"""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file in an archive: the earliest that a zip can hold."""


# ------------------------------------------------------------------ the folder
def text(capability: str) -> str:
    """The cases of a capability as plain text."""
    return "".join(f"{line}\n" for case in load(capability) for line in _lines(case))


def _lines(case: dict[str, Any]) -> Iterator[str]:
    yield f"case {case['id']}"
    for name, value in case["inputs"].items():
        if isinstance(value, str):
            yield f"in {name} text {value}"
        else:
            yield " ".join(["in", name, *_shape(value), *map(repr, _leaves(value))])
    for name, output in case["outputs"].items():
        pairs = zip(_leaves(output["mid"]), _leaves(output["rad"]), strict=True)
        numbers = [x or "nan" for pair in pairs for x in pair]
        yield " ".join(["out", name, *_shape(output["mid"]), repr(output["tolerance"]), *numbers])


def _shape(nested: Any) -> list[str]:
    """The number of axes, and the length of each."""
    lengths = []
    while isinstance(nested, list):
        lengths.append(str(len(nested)))
        nested = nested[0]
    return [str(len(lengths)), *lengths]


def _leaves(nested: Any) -> list[Any]:
    return [x for part in nested for x in _leaves(part)] if isinstance(nested, list) else [nested]


def contents() -> dict[str, bytes]:
    """The files of the folder by path."""
    capabilities = sorted(names_of(Role.ANSWER))
    found = {file: (FOLDER / file).read_bytes()
             for file in ["schema.json", *(f"{name}.json" for name in capabilities)]}
    found |= {f"text/{name}.txt": text(name).encode() for name in capabilities}
    found |= {file.name: file.read_bytes() for file in sorted((FOLDER / "readers").iterdir())
              if file.name.startswith("read_vectors.")}
    return {**found, "README.md": README.encode(), "LICENSE": LICENSE.encode()}


# ------------------------------------------------------------------ the archives
def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of the files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def wheel() -> bytes:
    """The Python wheel: the folder becomes the package `refot_vectors`; FOLDER is its path."""
    inside = {f"refot_vectors/{name}": data for name, data in contents().items()}
    code = ('"""Certified test vectors of entropic optimal transport."""\n\n'
            "from pathlib import Path\n\n"
            f'__version__ = "{VERSION}"\n'
            "FOLDER = Path(__file__).parent\n")
    info = f"refot_vectors-{VERSION}.dist-info"
    metadata = (f"Metadata-Version: 2.4\nName: refot-vectors\nVersion: {VERSION}\n"
                "Summary: Certified test vectors of entropic optimal transport\n"
                "License-Expression: CC0-1.0\nRequires-Python: >=3.9\n"
                f"Description-Content-Type: text/markdown\n\n{README}")
    files = {**inside, "refot_vectors/__init__.py": code.encode(),
             f"{info}/METADATA": metadata.encode(),
             f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: refot\nRoot-Is-Purelib: true\n"
                              b"Tag: py3-none-any\n"}
    record = "".join(f"{name},sha256={_digest(data)},{len(data)}\n"
                     for name, data in files.items())
    return zipped({**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()})


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def npm_tarball() -> bytes:
    """The npm package `refot-vectors`, as `npm pack` would write it."""
    package = {"name": "refot-vectors", "version": f"{VERSION}.0", "license": "CC0-1.0",
               "description": "Certified test vectors of entropic optimal transport",
               "files": ["*"]}
    files = {**contents(), "package.json": (json.dumps(package, indent=2) + "\n").encode()}
    packed, buffer = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    with gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as file:
        file.write(packed.getvalue())
    return buffer.getvalue()


def publish(folder: Path) -> list[Path]:
    """Write the three archives into the folder; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    inside = f"refot-vectors-{VERSION}"
    archives = {f"refot_vectors-{VERSION}-py3-none-any.whl": wheel(),
                f"{inside}.0.tgz": npm_tarball(),
                f"{inside}.zip": zipped({f"{inside}/{k}": v for k, v in contents().items()})}
    for name, data in archives.items():
        with whole_file(folder / name) as file:
            file.write(data)
    return [folder / name for name in archives]


def main(out: Annotated[Path, typer.Option(help="The folder for the three archives.")]) -> None:
    """Build refot-vectors: a Python wheel, an npm tarball and a zip."""
    for path in publish(out):
        print(path)


if __name__ == "__main__":
    typer.run(main)
