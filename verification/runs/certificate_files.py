"""`refot certify --potentials FILE --out CERTIFICATE.json`: from potentials that any program has
computed, a certificate that can be checked without refot (`refot.certificate`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from refot.arrays import Array, InputError, as_floating
from refot.certificate import TravellingCertificate
from refot.datasets.problem_file import LARGEST, FileError
from refot.files import UnreadableError, read_arrays, read_plain
from refot.problem import Problem
from refot.unbalanced_problem import UnbalancedProblem
from refot.verification.certificates.certify import certify_value

from .certify import Certified

METHOD = ("Below, the semi-dual of g. Above, the cost of a plan with exactly these marginals, made "
          "from the plan of g by a shift or by rounding. Computed in balls of float64.")
"""How the interval of every certificate written here was proven."""


def read_potentials(path: Path, p: Problem) -> Array:
    """The column potential g (m,) in a file: an .npy file, or an .npz file with `g`, or with `f`
    (n,) alone, whose transform is taken. It is read as float64, and need not be right. Raises
    FileError, InputError.
    """
    arrays = _arrays(path)
    if "g" in arrays:
        return p.column_potential(as_floating(arrays["g"], "g", 1).astype(np.float64))
    if "f" in arrays:
        f = p.row_potential(as_floating(arrays["f"], "f", 1).astype(np.float64))
        return p.T.transform(f)
    raise FileError(f"{path}: lacks g or f; it holds {', '.join(arrays) or '-'}")


def _arrays(path: Path) -> dict[str, Array]:
    """The arrays of a file by name; the array of an .npy file is g."""
    try:
        if path.suffix != ".npy":
            return read_arrays(path, LARGEST)
        read_plain(path, LARGEST)  # read only to refuse a file that is not plain, or too large
        return {"g": np.load(path, allow_pickle=False)}
    except UnreadableError as error:
        raise FileError(f"{path}: not a file of plain arrays ({error})") from error
    # NumPy raises each of these for some broken file
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise FileError(f"{path}: not an .npy file of one plain array ({error})") from error


def require_balanced(p: Problem) -> None:
    """Raise InputError for an unbalanced problem, for which certificates have no format."""
    if isinstance(p, UnbalancedProblem):
        raise InputError("rho", "an unbalanced problem", "none, in a certificate that travels")


def travelling(certified: Certified, source: str) -> TravellingCertificate:
    """The certificate of a problem that came from the file `source`, with its costs as a matrix of
    floats. Raises InputError."""
    p, g = certified.problem, certified.g
    C = np.asarray(p.C.dense(), dtype=np.float64)
    found = certify_value(C, p.a, p.b, p.eps, g)
    ground = f", the ground cost {certified.ground} of its points" if certified.ground else ""
    return TravellingCertificate(C, p.a, p.b, p.eps, np.asarray(g), found.lower, found.upper,
                                 METHOD, f"{source}{ground}")
