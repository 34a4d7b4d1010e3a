"""Intervals of float64 numbers with outward rounding: the form in which certificates are given."""

from __future__ import annotations

import math
from dataclasses import dataclass


def _down(x: float) -> float:
    return math.nextafter(x, -math.inf)


def _up(x: float) -> float:
    return math.nextafter(x, math.inf)


@dataclass(frozen=True)
class Interval:
    """The real numbers from `lower` to `upper`, both included.

    Every operation rounds outward by one unit in the last place: if x is in X and y in Y, then the
    real number x + y is in X + Y.
    """

    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:  # a NaN fails too
            raise ValueError(f"empty interval: lower {self.lower!r}, upper {self.upper!r}")

    @property
    def width(self) -> float:
        """upper - lower, rounded up."""
        return 0.0 if self.lower == self.upper else _up(self.upper - self.lower)

    @property
    def relative_width(self) -> float:
        """width over the largest magnitude in the interval; 0 for a single point."""
        return self.width / max(abs(self.lower), abs(self.upper)) if self.width else 0.0

    @property
    def midpoint(self) -> float:
        """A float64 number in the interval, about half way between its ends."""
        return min(max(self.lower / 2 + self.upper / 2, self.lower), self.upper)

    def contains(self, x: float) -> bool:
        """Whether lower <= x <= upper."""
        return self.lower <= x <= self.upper

    def distance(self, x: float) -> float:
        """How far x is outside, 0 if it is inside; NaN for a NaN."""
        return 0.0 if self.contains(x) else max(self.lower - x, x - self.upper)

    def intersection(self, other: Interval) -> Interval:
        """What is in both. Raises ValueError if nothing is: then the two cannot enclose the same
        number, and one of them is wrong."""
        return Interval(max(self.lower, other.lower), min(self.upper, other.upper))

    def __neg__(self) -> Interval:
        return Interval(-self.upper, -self.lower)

    def __add__(self, other: Interval) -> Interval:
        return Interval(_down(self.lower + other.lower), _up(self.upper + other.upper))

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, factor: float) -> Interval:
        """`factor * self` for an exact float `factor` of either sign."""
        ends = (factor * self.lower, factor * self.upper)
        return Interval(_down(min(ends)), _up(max(ends)))

    __rmul__ = __mul__
