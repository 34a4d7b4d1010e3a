"""Reads the pickles that CIFAR-10 is published in, without running anything.

A pickle is a program that can call any function, and so unpickling a file from elsewhere is not
safe. Here the file is read opcode by opcode (`pickletools.genops`). Lists, dicts and tuples are
built; where an unpickler would import a name and call it, a `Call` only says what was to be called.
Opcodes that a batch of CIFAR-10 does not need are refused.
"""

from __future__ import annotations

import pickletools
import warnings
from dataclasses import dataclass
from typing import Any


@dataclass
class Call:
    """What an unpickler would have called, `name(*arguments)`, and the state it would have set."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


_MARK = object()
_VALUES = {"BININT", "BININT1", "BININT2", "BINUNICODE", "BINBYTES", "SHORT_BINBYTES"}
_STRINGS = {"BINSTRING", "SHORT_BINSTRING"}  # Python 2's, handed over as Latin-1
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_inert(data: bytes) -> Any:
    """What a pickle holds, of protocol 2 or 3, with a `Call` for each call.

    Raises ValueError for anything that is not such a pickle.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of escapes in a text opcode
            for opcode, argument, _ in pickletools.genops(data):
                if opcode.name == "STOP":
                    (value,) = stack
                    return value
                _apply(opcode.name, argument, stack, memo)
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise ValueError(f"not a whole pickle ({error})") from None
    raise ValueError("it does not end")


def _apply(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """One opcode."""
    if name in _VALUES:
        stack.append(argument)
    elif name in _STRINGS:
        stack.append(argument.encode("latin-1"))
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name in _TUPLES:
        stack.append(tuple(_popped(stack, _TUPLES[name])))
    elif name == "TUPLE":
        stack.append(tuple(_since_mark(stack)))
    elif name in ("EMPTY_DICT", "EMPTY_LIST"):
        stack.append({} if name == "EMPTY_DICT" else [])
    elif name == "MARK":
        stack.append(_MARK)
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in ("APPEND", "APPENDS"):
        items = _popped(stack, 1) if name == "APPEND" else _since_mark(stack)
        _of_type(stack[-1], list).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _popped(stack, 2) if name == "SETITEM" else _since_mark(stack)
        _of_type(stack[-1], dict).update(zip(items[::2], items[1::2], strict=True))
    elif name == "GLOBAL":
        stack.append(Call(argument.replace(" ", "."), ()))
    elif name == "REDUCE":
        function, arguments = _popped(stack, 2)
        stack.append(_called(_of_type(function, Call).name, _of_type(arguments, tuple)))
    elif name == "BUILD":
        state = stack.pop()
        _of_type(stack[-1], Call).state = state
    elif name != "PROTO":
        raise ValueError(f"it holds the opcode {name}, which image batches do not need")


def _called(name: str, arguments: tuple[Any, ...]) -> Any:
    """A `Call`; or bytes, where Python 3 wrote them for Python 2 as an encoding of text."""
    match name, arguments:
        case "_codecs.encode", (str(text), "latin1"):
            return text.encode("latin-1")
    return Call(name, arguments)


def _popped(stack: list[Any], count: int) -> list[Any]:
    """The last `count` values, taken off the stack."""
    if count > len(stack):
        raise IndexError("the stack is empty")
    split = len(stack) - count
    items = stack[split:]
    del stack[split:]
    return items


def _since_mark(stack: list[Any]) -> list[Any]:
    """The values since the last mark, taken off the stack with it."""
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _of_type(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where a {kind.__name__} belongs")
    return value
