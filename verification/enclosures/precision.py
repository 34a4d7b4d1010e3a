"""How much precision an enclosure gets: attempts with more and more bits, up to a limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from flint import arb, ctx

from refot.arrays import as_count

from .newton import Matrix, Vector

MOST_BITS = 4_096
"""The most bits of working precision. The potentials of a problem may need as many as
max C / (eps log 2), so that enclosures at a very small eps are refused."""

GUARD_BITS = 64
"""Bits that the first attempt has in addition to those of the requested digits."""

Found = TypeVar("Found")
Answer = TypeVar("Answer", arb, Vector, Matrix)


class EnclosureError(ValueError):
    """The requested digits cannot be proven; the message says why, and what is possible."""


def bits_for(digits: int) -> int:
    """The working precision of the first attempt for this many digits."""
    return math.ceil(digits * math.log2(10)) + GUARD_BITS


def first_found(bits: int, attempt: Callable[[], Found | None], refusal: str) -> Found:
    """The first result of `attempt` that is not None, at a working precision of `bits`, 2 `bits`,
    ... up to MOST_BITS.

    Raises EnclosureError if `bits` is above MOST_BITS, and with the words of `refusal` if all
    attempts return None.
    """
    if bits > MOST_BITS:
        most = int((MOST_BITS - GUARD_BITS) / math.log2(10))
        raise EnclosureError(
            f"digits: too many: {bits} bits to begin with; allowed: {MOST_BITS} bits, {most} digits"
            " at the very most, half of that for s and for differences, fewer where eps is small")
    while bits <= MOST_BITS:
        with ctx.workprec(bits):
            found = attempt()
        if found is not None:
            return found
        bits *= 2
    raise EnclosureError(f"not certified with {MOST_BITS} bits: {refusal}")


def certified(attempt: Callable[[], Answer], digits: int) -> Answer:
    """`attempt()` at more and more working precision, until its digits are proven.

    They are proven once each radius is at most 10^-digits of the largest entry, or of 10^-digits if
    all entries are smaller. So the ball of an entry far below the largest one may contain 0. Raises
    EnclosureError.
    """
    digits = as_count(digits, "digits")

    def digits_or_none() -> Answer | None:
        found = attempt()
        entries = leaves(found)
        largest = max(abs(x.mid()) for x in entries).max(arb(10) ** -digits)
        return found if all(is_sharp(x, digits, largest) for x in entries) else None

    return first_found(bits_for(2 * digits), digits_or_none, f"{digits} digits do not come")


def is_sharp(x: arb, digits: int, size: arb) -> bool:
    """Whether the radius of x is at most 10^-digits |size|."""
    return bool(x.rad() <= arb(10) ** -digits * abs(size))


def leaves(balls: Any) -> Vector:
    """The balls of a vector, a matrix or nested tuples, in one list; of a single ball, itself."""
    return [balls] if isinstance(balls, arb) else [x for part in balls for x in leaves(part)]
