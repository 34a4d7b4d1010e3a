"""`load_solution`: a solved problem from the file that `save` wrote, checked like any input."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from refot.arrays import Array, InputError, as_number, as_positive
from refot.backend_contract import BackendLike
from refot.costs.operands import point_cost
from refot.problem import Problem, problem
from refot.solvers.accuracy import accuracy
from refot.solvers.gap import gap_of
from refot.solvers.loop import SinkhornResult
from refot.solvers.stopping import StoppedBy
from refot.solvers.unbalanced.result import with_mass
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem

ROOM = 1 + 1e-9
"""The gap of a file is evaluated anew. It counts as proved if it is at most this multiple of the
stored one, because another backend rounds differently."""


def load_solution(path: str | PathLike[str], *, backend: BackendLike = None) -> SinkhornResult:
    """The result that `SinkhornResult.save` wrote to `path`, with its problem, on `backend`.

    The errors, and whether it converged, are not taken from the file but evaluated anew. Raises
    InputError for a file that `save` did not write.

        refot.solve(C, a, b, 0.1).save("solution.npz")
        found = refot.load_solution("solution.npz")
    """
    from refot.files import UnreadableError, read_arrays  # zip archives take 10 ms to import

    try:
        stored = read_arrays(Path(path))
    except TypeError:
        raise InputError("path", repr(path), "the name of a file") from None
    except (UnreadableError, OSError, ValueError) as error:
        raise InputError("path", f"{path}: {error}", "a file that `save` wrote") from None
    try:
        return _result(stored, backend)
    except (KeyError, IndexError) as error:
        raise InputError("path", f"{path}: no {error} in it", "a file that `save` wrote, of points "
                         "that were not in parts") from None


def _result(stored: dict[str, Array], backend: BackendLike) -> SinkhornResult:
    from .stored import VERSION

    if stored["version"] != VERSION:
        raise InputError("path", f"layout {stored['version']}", f"layout {VERSION}")
    p = _problem(stored, backend)
    f, g = p.row_potential(stored["f"]), p.column_potential(stored["g"])
    tol, found = as_positive(stored["tolerance"], "tolerance"), accuracy(p, f, g)
    name = str(stored["stopped_by"])
    if name not in {reason.value for reason in StoppedBy}:
        raise InputError("stopped_by", repr(name), "one of " + ", ".join(StoppedBy))
    stopped_by = StoppedBy(name)
    gap = gap_of(p, g) if "gap" in stored else None
    proved = gap is not None and stopped_by == StoppedBy.GAP and (
        gap.relative <= ROOM * as_positive(stored["gap"], "gap"))
    errors = tuple(float(error) for error in stored["errors"])
    solved = SinkhornResult(f, g, found.within(tol) or proved, *found, tol, errors,
                            stopped_by, as_number(stored["seconds"], "seconds"), p, gap)
    return with_mass(p, solved) if isinstance(p, UnbalancedProblem) else solved


def _problem(stored: dict[str, Any], backend: BackendLike) -> Problem:
    C = stored["C"] if "C" in stored else point_cost(
        stored["x"], stored["y"], str(stored["cost"]), as_positive(stored["scale"], "scale"))
    weights, eps = (stored["a"], stored["b"]), as_positive(stored["eps"], "eps")
    if "rho" not in stored:
        return problem(C, *weights, eps, backend)
    return unbalanced_problem(C, *weights, eps, stored["rho"], str(stored["penalty"]), backend)
