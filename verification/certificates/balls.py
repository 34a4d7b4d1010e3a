"""Ball arithmetic in float64: enclosures [mid - rad, mid + rad] of real arrays, entry by entry.

Inclusion: if two real numbers lie in two balls, then their sum, product, ... lies in the ball that
the operation returns. Each operation computes its midpoint in float64. Its radius is what the radii
of the operands allow, plus UNIT |mid| for the rounding of the midpoint, plus TINY for underflow;
`enclosure` enlarges it by GROWTH for the rounding of the radius itself. docs/certificates.md
derives each rule.

Assumed of the machine: +, -, *, / of IEEE 754, to nearest; sums and products of matrices in any
order, with or without fused multiply-add; NumPy's exp, expm1, log and log1p within 4 ulp (the test
suite measures them against flint). A midpoint that is not finite becomes the ball of all reals.
In the bounds below X and Y stand for members of the balls, x and y for their midpoints, rx and ry
(or r) for their radii.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
"""A float64 array, of any shape."""

UNIT = 2.0**-53
"""Unit roundoff: fl(x) = x (1 + d) with |d| <= UNIT."""

TINY = 2.0**-1022
"""The smallest normal float. Underflow changes the result of one operation by less."""

FUNCTION_ERROR = 8 * UNIT
"""The error of exp, expm1, log and log1p, relative to the result: 4 ulp of at most 2 UNIT each."""

GROWTH = 1 + 2.0**-48
"""The factor that covers the rounding of a radius. Computing one takes at most 12 operations, or 6
and two functions with an error of 8 UNIT each."""


_silent = np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore")
"""Overflow and division by zero need no warning: their result is the ball of all reals."""


@dataclass(frozen=True, eq=False)
class Ball:
    """The real arrays x with |x - mid| <= rad, entry by entry; rad >= 0, infinite where nothing is
    known."""

    mid: Floats
    rad: Floats

    __array_ufunc__ = None  # an array on the left leaves the operation to the ball on the right

    @property
    @_silent
    def lower(self) -> Floats:
        """Floats below every member."""
        return np.nextafter(self.mid - self.rad, -np.inf)

    @property
    @_silent
    def upper(self) -> Floats:
        """Floats above every member."""
        return np.nextafter(self.mid + self.rad, np.inf)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mid.shape

    def __getitem__(self, index: Any) -> Ball:
        return Ball(self.mid[index], self.rad[index])

    def __neg__(self) -> Ball:
        return Ball(-self.mid, self.rad)

    @_silent
    def __add__(self, other: Operand) -> Ball:
        y = ball(other)
        return _rounded(self.mid + y.mid, self.rad + y.rad)

    @_silent
    def __sub__(self, other: Operand) -> Ball:
        y = ball(other)
        return _rounded(self.mid - y.mid, self.rad + y.rad)

    @_silent
    def __mul__(self, other: Operand) -> Ball:
        """|XY - xy| <= |x| ry + rx (|y| + ry)."""
        y = ball(other)
        spread = abs(self.mid) * y.rad + self.rad * (abs(y.mid) + y.rad)
        return _rounded(self.mid * y.mid, spread)

    @_silent
    def __truediv__(self, other: Operand) -> Ball:
        """|X/Y - x/y| = |(X - x) - (x/y)(Y - y)| / |Y| <= (rx + |x/y| ry) / (|y| - ry)."""
        y = ball(other)
        least = abs(y.mid) - y.rad
        quotient = self.mid / y.mid
        # TINY is for underflow, and is added here because the division by `least` enlarges that.
        change = self.rad + ((abs(quotient) + TINY) * y.rad + TINY)
        spread = change / np.where(least > 0, least, 0)
        return _rounded(quotient, spread)

    @_silent
    def __matmul__(self, other: Operand) -> Ball:
        """Matrix and scalar products, `np.matmul` for up to two axes: |fl - sum x y| is at most
        gamma_r sum |x| |y|, with r the roundings that a term goes through in `_in_pieces`."""
        y = ball(other)
        k = self.mid.shape[-1]
        error = gamma(2 * math.isqrt(k) + 2)
        spread = (
            # TINY is for underflow in the second factor, which the product with |x| enlarges.
            abs(self.mid) @ (y.rad + (error * abs(y.mid) + TINY))
            + self.rad @ (abs(y.mid) + y.rad)
        )
        return enclosure(
            _in_pieces(self.mid, y.mid), spread * (1 + 2 * gamma(k + 2)) + k * TINY
        )

    def __radd__(self, other: Operand) -> Ball:
        return self + other

    def __rsub__(self, other: Operand) -> Ball:
        return ball(other) - self

    def __rmul__(self, other: Operand) -> Ball:
        return self * other

    def __rtruediv__(self, other: Operand) -> Ball:
        return ball(other) / self

    def __rmatmul__(self, other: Operand) -> Ball:
        return ball(other) @ self

    def __abs__(self) -> Ball:
        """||X| - |x|| <= |X - x|."""
        return Ball(abs(self.mid), self.rad)

    @_silent
    def sum(self, axis: int | None = None) -> Ball:
        """The sum along an axis (None: of all entries). Rounding k terms in any order costs at most
        gamma_{k-1} sum |x|."""
        k = self.mid.size if axis is None else self.mid.shape[axis]
        spread = self.rad.sum(axis=axis) + gamma(k - 1) * abs(self.mid).sum(axis=axis)
        return enclosure(np.asarray(self.mid.sum(axis=axis)), spread * (1 + 2 * gamma(k)))

    def max(self, axis: int) -> Ball:
        """The maximum along an axis: |max X - max x| <= max |X - x|; no rounding."""
        return Ball(self.mid.max(axis=axis), self.rad.max(axis=axis))

    def min(self, axis: int) -> Ball:
        """The minimum along an axis, with the radius for the same reason as in `max`."""
        return Ball(self.mid.min(axis=axis), self.rad.max(axis=axis))


Operand: TypeAlias = Ball | Floats | float
"""What can be added to a ball or multiplied by it: arrays and numbers count as exact."""


def ball(x: Operand) -> Ball:
    """`x` as a ball: itself, or an exact array or number with radius 0."""
    if isinstance(x, Ball):
        return x
    mid = np.asarray(x, dtype=np.float64)
    return Ball(mid, np.zeros_like(mid))


def _in_pieces(x: Floats, y: Floats) -> Floats:
    """x @ y as a sum of at most l shorter products of length l, with l = isqrt(k) + 1. So a term is
    rounded at most 2 l times: l in its product, in whatever order, and l in the sum. One product of
    length k could round it k times."""
    k = x.shape[-1]
    l = math.isqrt(k) + 1
    return reduce(np.add, (x[..., i : i + l] @ y[i : i + l] for i in range(0, k, l)))


def gamma(k: int) -> float:
    """gamma_k = k UNIT / (1 - k UNIT), rounded up: the error of k roundings in a row."""
    return k * UNIT / (1 - k * UNIT) * GROWTH


def concatenate(x: Ball, y: Ball) -> Ball:
    """Two vectors as one."""
    return Ball(np.concatenate([x.mid, y.mid]), np.concatenate([x.rad, y.rad]))


@_silent
def exp(x: Ball) -> Ball:
    """A ball that contains e^X for every member X of x; its midpoint is never negative."""
    mid = np.exp(x.mid)
    return enclosure(mid, _exp_spread(x) + FUNCTION_ERROR * mid)


@_silent
def expm1(x: Ball) -> Ball:
    """A ball that contains e^X - 1, with a small relative radius near 0."""
    mid = np.expm1(x.mid)
    return enclosure(mid, _exp_spread(x) + FUNCTION_ERROR * abs(mid))


def _exp_spread(x: Ball) -> Floats:
    """|e^X - e^x| <= e^(x + r) - e^x = e^(x + r) (1 - e^(-r)).

    Rounding x + r changes its exponential, where that is not 0, by a factor of less than
    e^(745 UNIT) < 1 + 2^-43.
    """
    return np.exp(x.mid + x.rad) * -np.expm1(-x.rad) * (1 + 2.0**-42)


@_silent
def log(x: Ball) -> Ball:
    """|log X - log x| <= r / (x - r), where x - r > 0; otherwise nothing is known."""
    least = x.mid - x.rad
    mid = np.log(np.where(least > 0, x.mid, 1))
    return enclosure(mid, x.rad / np.where(least > 0, least, 0) + FUNCTION_ERROR * abs(mid))


@_silent
def log1p(x: Ball) -> Ball:
    """log(1 + X), relatively accurate near 0: |log(1 + X) - log(1 + x)| <= r / (1 + x - r), where
    1 + x - r > 0; otherwise nothing is known."""
    least = (1 + x.mid) * (1 - 2.0**-50) - x.rad
    mid = np.log1p(np.where(least > 0, x.mid, 0))
    return enclosure(mid, x.rad / np.where(least > 0, least, 0) + FUNCTION_ERROR * abs(mid))


def minimum(x: Operand, y: Operand) -> Ball:
    """|min(X, Y) - min(x, y)| <= max(rx, ry); no rounding."""
    x, y = ball(x), ball(y)
    return Ball(np.minimum(x.mid, y.mid), np.maximum(x.rad, y.rad))


def maximum(x: Operand, y: Operand) -> Ball:
    """|max(X, Y) - max(x, y)| <= max(rx, ry); no rounding."""
    x, y = ball(x), ball(y)
    return Ball(np.maximum(x.mid, y.mid), np.maximum(x.rad, y.rad))


def _rounded(mid: Floats, spread: Floats) -> Ball:
    """The ball around a midpoint that was rounded once: + UNIT |mid|."""
    return enclosure(mid, spread + UNIT * abs(mid))


def enclosure(mid: Floats, spread: Floats) -> Ball:
    """The ball of radius `spread`, enlarged for its own rounding; all reals where not finite."""
    rad = (spread + TINY) * GROWTH
    known = np.isfinite(mid + rad)
    if known.all():
        return Ball(mid, rad)
    return Ball(np.where(known, mid, 0), np.where(known, rad, np.inf))
