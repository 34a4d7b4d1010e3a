"""The cost "cosine": 1 - <x, y> / (|x| |y|), 1 less the cosine of the angle between x and y."""

from __future__ import annotations

from dataclasses import dataclass

from refot.arrays import Array, InputError, namespace
from refot.costs.ground import PairCost, sqeuclidean


@dataclass(frozen=True)
class Cosine(PairCost):
    """c(x, y) = |u - v|^2 / 2, from 0 to 2, between the directions u = x / |x| and v = y / |y|.

    It is not a function of x - y. A point of length 0 has no direction, and raises InputError.
    """

    name: str = "cosine"

    def matrix(self, x: Array, y: Array) -> Array:
        """|u_i - v_j|^2 / 2, (n, m). 1 - <u_i, v_j> would lose its digits for nearly equal u_i and
        v_j."""
        return sqeuclidean(directions(x), directions(y)) / 2

    def gradient(self, x: Array, y: Array) -> Array:
        """(u <u, v> - v) / |x|, (n, m, d): it is orthogonal to x and points away from v."""
        u, v = directions(x), directions(y)
        return _across(u, v) / lengths(x)[:, None, None]

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The derivative of (u <u, v> - v) / |x| as x moves along vx (n, d) and y along vy (m, d):
        u, v and |x| all change. (n, m, d)."""
        u, v, r = directions(x), directions(y), lengths(x)[:, None]
        du, dv = _turned(x, vx), _turned(y, vy)
        cosine, change = u @ v.T, du @ v.T + u @ dv.T
        moved = (change[:, :, None] * u[:, None, :] + cosine[:, :, None] * du[:, None, :]
                 - dv[None, :, :])
        growth = (u * vx).sum(axis=1)[:, None] / r  # the derivative of log |x|
        return (moved - _across(u, v) * growth[:, :, None]) / r[:, :, None]

    def bound(self, x: Array, y: Array) -> float:
        """2, which is the largest possible c and every entry of `sizes`. Raises InputError for a
        point of length 0."""
        for name, points in (("x", x), ("y", y)):
            at_origin = abs(points).max(axis=1) == 0
            if bool(at_origin.any()):
                raise InputError(name, f"a point of length 0 at [{int(at_origin.argmax())}]",
                                 "points that have a direction, for the cost cosine")
        return 2.0

    def spread(self, x: Array, y: Array) -> float:
        """2, which is >= max c - min c."""
        return self.bound(x, y)

    def roundings(self, d: int) -> int:
        """The error of `matrix`, in roundings of 2, the entries of `sizes`. Each coordinate of u
        and v is off by about d / 2 + 6 roundings of itself, and |u - v| by twice that. To take half
        the square multiplies this error by |u - v| <= 2."""
        return 2 * d + 24

    def sizes(self, x: Array, y: Array, C: Array) -> Array:
        """2 for each pair, (n, m), also where c is small: directions are rounded relative to their
        length 1, and not to the difference of the two."""
        return namespace(C).full_like(C, 2)


def lengths(x: Array) -> Array:
    """|x_i|, (n,). Coordinates are divided by the largest first, because their squares might leave
    the range of floats."""
    most = abs(x).max(axis=1)
    return most * namespace(x).sqrt(((x / most[:, None]) ** 2).sum(axis=1))


def directions(x: Array) -> Array:
    """x_i / |x_i|, (n, d). Coordinates are divided by the largest first, as in `lengths`."""
    x = x / abs(x).max(axis=1)[:, None]
    return x / namespace(x).sqrt((x**2).sum(axis=1))[:, None]


def _across(u: Array, v: Array) -> Array:
    """u_i <u_i, v_j> - v_j, (n, m, d): the part of -v_j that is orthogonal to u_i."""
    return (u @ v.T)[:, :, None] * u[:, None, :] - v[None, :, :]


def _turned(x: Array, vx: Array) -> Array:
    """The derivative of the directions of x (n, d) as x moves along vx (n, d). (n, d)."""
    u = directions(x)
    return (vx - u * (u * vx).sum(axis=1)[:, None]) / lengths(x)[:, None]
