"""Certified vectors: reading them, listing them, showing one, and checking somebody's answers.

Each capability has one JSON file in this folder, in the form that `schema.json` prescribes and
docs/vectors.md describes. Only `generate.py` writes these files. For each number of the right
answer a file has an interval mid +- rad that is proved to contain it. An answer is accepted if each
of its entries lies within rad + tolerance of mid, compared in exact arithmetic. In balanced
transport a constant may be added to f and taken from g (their *gauge*), so these potentials are
first moved so that the last entry of g is 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

from refot.arrays import InputError, lookup
from refot.verification.subjects.capabilities import Answers

from .files import FILES

FOLDER = Path(__file__).parent
"""The folder of the JSON files."""

LARGEST_FILE = 64 << 20
"""Bytes that a file of answers may have. All right answers together take less than 1 MiB."""

MOST_NESTED = 8
"""The most levels of lists and objects in one answer. A right one has at most three: an object that
holds a matrix."""


class AnswersError(ValueError):
    """A file that cannot be read as a file of answers. The message says where and why."""


def load(capability: str) -> list[dict[str, Any]]:
    """The cases of one file, which has the name of its capability. Raises InputError."""
    lookup(FILES, capability, "capability")
    file: dict[str, Any] = json.loads((FOLDER / f"{capability}.json").read_text(encoding="utf-8"))
    cases: list[dict[str, Any]] = file["cases"]
    return cases


def every_case() -> dict[str, dict[str, Any]]:
    """All cases by id, capability after capability."""
    return {case["id"]: case for capability in FILES for case in load(capability)}


# ------------------------------------------------------------------ list, show
def list_vectors() -> list[str]:
    """One line a case: its id, what is special about it, and how many mistakes it catches."""
    return [f"{case['id']:45} {case['note']} (catches {len(case['catches'])})"
            for case in every_case().values()]


def show(name: str) -> str:
    """One case as indented JSON. Raises InputError for an unknown id."""
    cases = every_case()
    if name not in cases:
        near = [known for known in cases if name and name in known] or list(cases)
        close = (get_close_matches(name, cases, 1) + near)[0]
        raise InputError("name", f"{name!r}", f"an id of `refot vectors list`, e.g. {close}")
    return json.dumps(cases[name], indent=2)


# ------------------------------------------------------------------ check
def check(path: Path) -> tuple[list[str], int]:
    """(lines to print, exit status 0 or 1) for a JSON file {"case id": answer}.

    An answer is a number, or nested lists of the shape of the output. For potentials it is a pair
    [f, g]. For a case with several outputs it may be an object {output: answer}. If only some cases
    of a capability have an answer, the others are listed, but are no failure. Raises AnswersError.
    """
    answers, cases = read_answers(path), every_case()
    unknown = [name for name in answers if name not in cases]
    if unknown:
        raise AnswersError(f"{path}: unknown case ids: {_few(unknown)}; see `refot vectors list`")
    wrong = {name: _faults(cases[name], answer) for name, answer in answers.items()}
    lines = [f"FAILED {name}: {fault}" for name, faults in wrong.items() for fault in faults]
    failed = sum(bool(faults) for faults in wrong.values())
    touched = {name.partition("/")[0] for name in answers}
    left_out = [name for name in cases
                if name.partition("/")[0] in touched and name not in answers]
    if left_out:
        lines.append(f"not answered: {_few(left_out)}")
    others = [capability for capability in FILES if capability not in touched]
    if others:
        lines.append(f"not provided: {', '.join(others)}")
    lines.append(f"{len(answers) - failed} passed, {failed} failed, {len(left_out)} not answered; "
                 "allowed: rad + tolerance of each output, see `refot vectors show ID`")
    return lines, int(failed > 0)


def _faults(case: dict[str, Any], answer: Any) -> list[str]:
    """What is wrong with an answer: at most one line for each of its outputs."""
    given = _by_output(case, answer)
    found = []
    for name, value in _same_gauge(case, given).items():
        output = case["outputs"][name]
        if _shape(value) != _shape(output["mid"]):
            found.append(f"{name}: shape {_shape(value)}; due {_shape(output['mid'])}")
        else:
            found += _worst(name, value, output)
    return found


def _worst(name: str, value: Any, output: dict[str, Any]) -> list[str]:
    """One line on the entry that is furthest off; none if that entry is within what is allowed."""
    entries = zip(_leaves(value), _leaves(output["mid"]), _leaves(output["rad"]), strict=True)
    error, k, x, mid = max(
        (abs(Fraction(x) - Fraction(mid)) - Fraction(rad), k, x, mid)
        for k, (x, mid, rad) in enumerate(entries) if mid is not None)
    if error <= Fraction(output["tolerance"]):
        return []
    return [f"{name}, entry {k}: {float(x)!r}; certified {mid}; off by {float(error):.2g}, "
            f"allowed {output['tolerance']:.2g}"]


def _by_output(case: dict[str, Any], answer: Any) -> dict[str, Any]:
    """The answer as {output: value}."""
    outputs = case["outputs"]
    if isinstance(answer, dict):
        if not answer or not answer.keys() <= outputs.keys():
            raise AnswersError(f"{case['id']}: outputs {_few(list(answer)) or 'none'}; allowed: "
                               + ", ".join(outputs))
        if _has_gauge(case) and len(answer) < 2:
            raise AnswersError(f"{case['id']}: both f and g are due: they share a gauge")
        return answer
    if "f" not in outputs:
        return {next(iter(outputs)): answer}
    if not isinstance(answer, list) or len(answer) != 2:
        raise AnswersError(f"{case['id']}: due is a pair [f, g]")
    return {"f": answer[0], "g": answer[1]}


def _same_gauge(case: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Balanced potentials as (f + t, g - t), where t is the last entry of g, so that they have the
    gauge of the recorded ones. Any other answer is returned unchanged."""
    outputs = case["outputs"]
    if not _has_gauge(case) or any(_shape(given[k]) != _shape(outputs[k]["mid"]) for k in "fg"):
        return given
    t = Fraction(given["g"][-1])
    return {"f": [Fraction(x) + t for x in given["f"]], "g": [Fraction(x) - t for x in given["g"]]}


def _has_gauge(case: dict[str, Any]) -> bool:
    """Whether a constant may be added to the potentials f and taken from g."""
    return FILES[case["id"].partition("/")[0]].answers is Answers.PAIR


def _leaves(nested: Any) -> Iterator[Any]:
    if isinstance(nested, list):
        for part in nested:
            yield from _leaves(part)
    else:
        yield nested


def _shape(nested: Any) -> tuple[int | str, ...]:
    """The shape of nested lists, which ends in "ragged" where lists beside each other differ."""
    if not isinstance(nested, list):
        return ()
    shapes = {_shape(part) for part in nested} or {()}
    return (len(nested), *(shapes.pop() if len(shapes) == 1 else ("ragged",)))


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# ------------------------------------------------------------------ a file that may hold anything
def read_answers(path: Path) -> dict[str, Any]:
    """{"case id": answer} of a JSON file, every number finite. Raises AnswersError."""
    try:
        if path.exists() and not path.is_file():
            raise AnswersError("not a plain file")
        if path.stat().st_size > LARGEST_FILE:
            raise AnswersError(f"more than {LARGEST_FILE >> 20} MiB")
        found = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_number,
                           object_pairs_hook=_no_duplicates)
        if not isinstance(found, dict) or not found:
            raise AnswersError('not an object {"case id": answer} with at least one answer')
        for name, answer in found.items():
            _numbers_only(name, answer)
    except OSError as error:
        raise AnswersError(f"{path}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise AnswersError(f"{path}: nested too deeply") from None
    # malformed JSON or UTF-8, an integer of too many digits, and every AnswersError from above
    except ValueError as error:
        raise AnswersError(f"{path}: {error}") from None
    return found


def _no_number(text: str) -> NoReturn:
    raise AnswersError(f"{text} is no number of JSON; leave out what was not computed")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise AnswersError(f"a name twice in one object: {_few([name for name, _ in pairs])}")
    return found


def _numbers_only(name: str, answer: Any) -> None:
    if not _flat(answer, MOST_NESTED):
        raise AnswersError(f"{name}: nested too deeply")
    for x in _leaves(list(answer.values()) if isinstance(answer, dict) else answer):
        if isinstance(x, bool) or not isinstance(x, int | float):
            raise AnswersError(f"{name}: {type(x).__name__} where a number is due")
        if not _is_finite(x):
            raise AnswersError(f"{name}: a number beyond the range of floats")


def _flat(nested: Any, levels: int) -> bool:
    """Whether lists and objects are nested at most `levels` deep."""
    parts = list(nested.values()) if isinstance(nested, dict) else nested
    return not isinstance(parts, list) or (
        levels > 0 and all(_flat(part, levels - 1) for part in parts))


def _is_finite(x: int | float) -> bool:
    try:
        return math.isfinite(x)
    except OverflowError:  # an integer that is too large for a float
        return False
