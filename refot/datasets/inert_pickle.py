"""Reads the pickles that CIFAR-10 is published in, without running any code of theirs.

A pickle is a program that can call any function, and so it is not safe to unpickle a file from
elsewhere. Here the file is read opcode by opcode (`pickletools.genops`). Lists, dicts and tuples
are built. Where an unpickler would import a name and call it, a `Call` records what it would call.

Opcodes that a batch of CIFAR-10 does not need are refused, and so is whatever lets a small file
cost much work or memory. That is: containers nested without limit; keys of dicts that are not text
or bytes (if each of 60 tuples holds the one before it twice, to hash the last takes 2^60 steps);
the same text encoded again and again.
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


MOST_OPCODES = 2_000_000
"""The most opcodes that are read. A batch of 10,000 images has fewer than 200,000."""

MOST_NESTED = 1_000
"""The most containers that a file may put into others, at any depth. A batch has about 15."""

_MARK = object()
_VALUES = {"BININT", "BININT1", "BININT2", "BINUNICODE", "BINBYTES", "SHORT_BINBYTES"}
_STRINGS = {"BINSTRING", "SHORT_BINSTRING"}  # of Python 2; pickletools decodes them as Latin-1
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_inert(data: bytes) -> Any:
    """The object that a pickle of protocol 2 or 3 holds, with a `Call` in place of each call.

    Raises ValueError for anything that is not such a pickle.
    """
    machine = _Machine(len(data))
    try:
        with warnings.catch_warnings():
            # pickletools warns of unknown escapes in texts, which only refused opcodes have.
            warnings.simplefilter("ignore", DeprecationWarning)
            for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
                if opcode.name == "STOP":
                    (value,) = machine.stack
                    return value
                if number == MOST_OPCODES:
                    raise ValueError(f"it has more than {MOST_OPCODES} opcodes")
                machine.apply(opcode.name, argument)
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeError) as error:
        raise ValueError(f"not a whole pickle ({error})") from None
    raise ValueError("it does not end")


class _Machine:
    """The state of an unpickler: a stack, and a memo of values that are used again. Beside them it
    counts what is limited: how many containers were put into others, and how much more text may be
    encoded."""

    def __init__(self, size: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.nested = 0
        self.may_encode = size  # a file cannot hold more characters than it has bytes

    def apply(self, name: str, argument: Any) -> None:
        """Do what one opcode says."""
        stack, memo = self.stack, self.memo
        if name in _VALUES:
            stack.append(argument)
        elif name in _STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(tuple(self.held(_popped(stack, _TUPLES[name]))))
        elif name == "TUPLE":
            stack.append(tuple(self.held(_since_mark(stack))))
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
            _of_type(stack[-1], list).extend(self.held(items))
        elif name in ("SETITEM", "SETITEMS"):
            items = _popped(stack, 2) if name == "SETITEM" else _since_mark(stack)
            keys = [_of_type(key, (str, bytes)) for key in items[::2]]
            _of_type(stack[-1], dict).update(zip(keys, self.held(items[1::2]), strict=True))
        elif name == "GLOBAL":
            stack.append(Call(argument.replace(" ", "."), ()))
        elif name == "REDUCE":
            function, arguments = _popped(stack, 2)
            stack.append(self.called(_of_type(function, Call).name, _of_type(arguments, tuple)))
        elif name == "BUILD":
            (state,) = self.held(_popped(stack, 1))
            _of_type(stack[-1], Call).state = state
        elif name != "PROTO":
            raise ValueError(f"it holds the opcode {name}, which image batches do not need")

    def held(self, items: list[Any]) -> list[Any]:
        """The items, unchanged, which the caller is about to put into a container. Raises
        ValueError if the file has by now put more than MOST_NESTED containers into others: Python
        may crash when it frees containers that are nested too deeply."""
        self.nested += sum(isinstance(item, tuple | list | dict | Call) for item in items)
        if self.nested > MOST_NESTED:
            raise ValueError(f"more than {MOST_NESTED} containers within containers")
        return items

    def called(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """A `Call`; or bytes if that call encodes text as Latin-1, since Python 3 writes bytes in
        this form for Python 2."""
        match name, arguments:
            case "_codecs.encode", (str(text), "latin1"):
                self.may_encode -= len(text)
                if self.may_encode < 0:
                    raise ValueError("it encodes more text than it holds")
                return text.encode("latin-1")
        self.held([arguments])
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
    """The values after the last mark; they and the mark are taken off the stack."""
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _of_type(value: Any, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind):
        due = " or ".join(each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)))
        raise TypeError(f"{type(value).__name__} where {due} belongs")
    return value
