"""The protocol between `refot verify --command` and a program: each message is one line of JSON.

docs/any-language.md describes it, `protocol_schema.json` is its JSON Schema. Nothing that a program
writes is trusted: a line is refused unless it is one answer, made of numbers only, to the request
that was sent. Numbers that are not finite are the strings "nan", "inf", "-inf", both ways.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from refot.arrays import as_positive
from refot.conventions.unbalanced import declared_name

from .capabilities import CAPABILITIES, Answers, Role, names_of

DISCOVERY = "capabilities"
"""The request that a program answers with the list of what it offers."""

LONGEST_LINE = 64 << 20
"""Bytes: the longest answer that is read. The longest right one, a plan of 1024 x 1024 whose time
is measured (`verification/runs/scaling.py`), has less than 30 MiB."""

MOST_NESTED = 2
"""Levels of lists, one within the other, in an answer: a matrix or a pair of vectors has 2."""

NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""The strings that stand for numbers which are not finite."""


class AnswerError(Exception):
    """What a program wrote is no answer to the request; the message says why."""


class ProgramSaysError(Exception):
    """The program answered {"error": ...}; the message is in its own words."""


class NotConvergedError(ProgramSaysError):
    """The program answered {"not_converged": ...} without a result; the message is its own."""


NOT_CONVERGED = "not_converged"
"""The field of an answer which says that a solve did not converge. A result may stand beside it."""


# ------------------------------------------------------------------ requests
def argument_names(capability: str) -> tuple[str, ...]:
    """The names of the arguments in order, as the signature has them."""
    return () if capability == DISCOVERY else CAPABILITIES[capability].takes


def askable() -> list[str]:
    """The capabilities that a program can be asked for: all except the steps of a training."""
    return names_of(Role.ANSWER, Role.STATEMENT)


def request_line(number: int, capability: str, arguments: tuple[Any, ...]) -> bytes:
    """A request as one line that ends with a newline.

    The keys always have this order, there are no spaces, and numbers have at most 17 digits.
    """
    single = any(getattr(value, "dtype", None) == np.float32 for value in arguments)
    message = {
        "id": number,
        "capability": capability,
        "dtype": "float32" if single else "float64",
        "arguments": dict(zip(argument_names(capability), map(_plain, arguments), strict=True)),
    }
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    """An argument made of what JSON has: lists, numbers, strings."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


# ------------------------------------------------------------------ answers
def read_answer(line: bytes, number: int) -> Any:
    """The result that a line holds, still as lists.

    A "warning" or "not_converged" beside it becomes a Python warning. Raises AnswerError for a line
    that is no answer to request `number`, ProgramSaysError for "error", NotConvergedError for
    "not_converged" without a result, NotImplementedError for "not_provided".
    """
    message = _parsed(line)
    if not isinstance(message, dict):
        raise AnswerError(f"a {_kind(message)} where an object is due: {_excerpt(line)}")
    if message.get("id") != number or isinstance(message["id"], bool):
        raise AnswerError(f"answers request {message.get('id')!r:.40} where {number} was put")
    beside = {"id", "warning", NOT_CONVERGED} if "result" in message else {"id"}
    said = message.keys() - beside
    if len(said) != 1 or not said <= {"result", "error", "not_provided", NOT_CONVERGED}:
        raise AnswerError('due is "id" and one of "result", "error", "not_converged", '
                          '"not_provided"; found '
                          + (", ".join(sorted(said))[:80] or "nothing else"))
    if "result" in message:
        if "warning" in message:
            warnings.warn(_excerpt(str(message["warning"])), stacklevel=2)
        if NOT_CONVERGED in message:
            warnings.warn(f"not converged: {_excerpt(str(message[NOT_CONVERGED]))}", stacklevel=2)
        return message["result"]
    words = str(message[said.pop()])
    if "error" in message:
        raise ProgramSaysError(words)
    if NOT_CONVERGED in message:
        raise NotConvergedError(words)
    raise NotImplementedError(words)


def numbers(result: Any, capability: str) -> Any:
    """A result as a float, an array, a pair (f, g) of arrays, or a bool. Raises AnswerError.

    Its shape is not examined here: that is a matter for the checks.
    """
    answers = CAPABILITIES[capability].answers
    if answers is Answers.YES_OR_NO:
        if not isinstance(result, bool):
            raise AnswerError(f"a {_kind(result)} where true or false is due")
        return result
    if answers in (Answers.PAIR, Answers.BOTH):
        if not isinstance(result, list) or len(result) != 2:
            raise AnswerError(f"a {_kind(result)} where a pair [f, g] is due")
        return _array(result[0]), _array(result[1])
    return _array(result)


def description(result: Any, command: str) -> dict[str, Any]:
    """What the answer to DISCOVERY says: capabilities, name, version, convention, tolerance.

    Raises AnswerError, and InputError for an unknown convention or a tolerance that is not > 0.
    """
    known = {"capabilities": list, "name": str, "version": str, "convention": str,
             "tolerance": float}
    if not isinstance(result, dict) or not result.keys() <= known.keys():
        raise AnswerError(f"the answer to {DISCOVERY!r} is an object with some of "
                          + ", ".join(known))
    for name, value in result.items():
        if not isinstance(value, known[name]):
            raise AnswerError(f"{name}: a {_kind(value)} where a {known[name].__name__} is due")
    offered = result.get("capabilities", [])
    known_names = askable()
    unknown = [name for name in offered if not isinstance(name, str) or name not in known_names]
    if not offered or unknown:
        raise AnswerError(f"capabilities: {str(unknown)[:80] if unknown else 'none'}; allowed: "
                          + ", ".join(known_names))
    tolerance = result.get("tolerance")
    return {
        "name": _excerpt(result.get("name", command)),
        "version": _excerpt(result.get("version", "")),
        "capabilities": list(dict.fromkeys(offered)),
        "convention": declared_name(result.get("convention", "refot")),
        "tolerance": None if tolerance is None else as_positive(tolerance, "tolerance"),
    }


def _array(nested: Any) -> Any:
    """Nested lists as a float64 array; a number as a float."""
    plain = _floats(nested, MOST_NESTED)
    try:
        return np.array(plain, dtype=np.float64) if isinstance(plain, list) else plain
    except ValueError:
        raise AnswerError("lists of different lengths where an array is due") from None


def _floats(nested: Any, levels: int) -> Any:
    if isinstance(nested, list):
        if levels == 0:
            raise AnswerError(f"lists nested more than {MOST_NESTED} deep")
        return [_floats(part, levels - 1) for part in nested]
    if isinstance(nested, str) and nested in NOT_FINITE:
        return NOT_FINITE[nested]
    if not isinstance(nested, float):
        raise AnswerError(f"a {_kind(nested)} where a number is due (not finite: "
                          '"nan", "inf" or "-inf")')
    return nested


# ------------------------------------------------------------------ a line that may hold anything
def _parsed(line: bytes) -> Any:
    """A line of strict JSON; every number a float. Raises AnswerError."""
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_no_constant, parse_int=_finite,
                          parse_float=_finite, object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError:
        raise AnswerError(f"no UTF-8: {line[:60]!r}") from None
    except RecursionError:
        raise AnswerError("nested too deeply") from None
    except ValueError as error:
        raise AnswerError(f"no JSON ({error}): {_excerpt(line)}") from None


def _no_constant(text: str) -> NoReturn:
    raise AnswerError(f'{text} is no number of JSON; write "nan", "inf" or "-inf"')


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise AnswerError(f"{text[:20]}... is beyond the range of doubles")
    return number


def _no_duplicates(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise AnswerError("a name twice in one object")
    return found


def _kind(value: Any) -> str:
    """A type by its JSON name."""
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _excerpt(text: str | bytes) -> str:
    """The beginning of what was written, on one line, without control characters."""
    if isinstance(text, bytes):
        text = text[:240].decode("utf-8", "replace")
    line = "".join(letter if letter.isprintable() else " " for letter in text[:240]).strip()
    return line if len(line) <= 60 else line[:59] + "…"
