"""Calls that have to be made anew, although an adapter has kept the answer to the same problem.

An adapter may solve a problem once for several capabilities (`adapters.once`). A check that makes
the same call twice, to see whether the answers agree, must not get one answer twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_ANEW: ContextVar[bool] = ContextVar("the call is to be made anew", default=False)


def called_anew() -> bool:
    """Whether the present call is to be made anew."""
    return _ANEW.get()


@contextlib.contextmanager
def anew() -> Iterator[None]:
    """Calls in the block are made anew."""
    token = _ANEW.set(True)
    try:
        yield
    finally:
        _ANEW.reset(token)
