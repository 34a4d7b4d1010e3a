"""The cost "lp(p)": |x - y|_p = (sum_k |x_k - y_k|^p)^(1/p), for any 1 <= p < infinity."""

from __future__ import annotations

from dataclasses import dataclass, field

from refot.arrays import Array, InputError, as_number, namespace
from refot.costs.ground import DifferenceCost


@dataclass(frozen=True)
class LpNorm(DifferenceCost):
    """c(x, y) = |x - y|_p. With p = 1 it is the cost "l1", with p = 2 "euclidean"."""

    p: float

    name: str = field(init=False)

    def __post_init__(self) -> None:
        p = as_number(self.p, "p")
        if not p >= 1:
            raise InputError("p", f"{p:g}", "a number >= 1: lp(3), for example")
        object.__setattr__(self, "p", p)
        object.__setattr__(self, "name", f"lp({p!r})")

    def matrix(self, x: Array, y: Array) -> Array:
        """|x_i - y_j|_p, (n, m). Coordinates are divided by the largest first, because powers of
        small coordinates might underflow."""
        xp, most = namespace(x), 0
        for k in range(x.shape[1]):
            most = xp.maximum(most, abs(xp.subtract.outer(x[:, k], y[:, k])))
        unit, total = xp.where(most > 0, most, 1), xp.zeros_like(most)
        for k in range(x.shape[1]):
            total += (abs(xp.subtract.outer(x[:, k], y[:, k])) / unit) ** self.p
        return most * total ** (1 / self.p)

    def gradient(self, x: Array, y: Array) -> Array:
        """sign(x_k - y_k) s_k^(p - 1) with s = |x - y| / |x - y|_p; 0 where x = y. (n, m, d)."""
        difference, s, _ = self._shares(x, y)
        return namespace(x).sign(difference) * s ** (self.p - 1)

    def gradient_change(self, x: Array, y: Array, vx: Array, vy: Array) -> Array:
        """The derivative of `gradient` as x moves along vx (n, d) and y along vy (m, d), (n, m, d):
        (p - 1) (s_k^(p - 2) w_k - u_k (u.w)) / |x - y|_p, with s as in `gradient`, the gradient u
        and w = vx - vy. It is 0 at kinks, which for p < 2 lie wherever a coordinate agrees."""
        xp, w = namespace(x), vx[:, None, :] - vy[None, :, :]
        difference, s, r = self._shares(x, y)
        u = xp.sign(difference) * s ** (self.p - 1)
        at_0 = 1.0 if self.p == 2 else 0.0  # s^(p - 2) at s = 0, but 0 where that is infinite
        weighted = xp.where(s > 0, xp.where(s > 0, s, 1) ** (self.p - 2), at_0) * w
        along = (u * w).sum(axis=2)[:, :, None]
        return xp.where(r > 0, (self.p - 1) * (weighted - u * along) / xp.where(r > 0, r, 1), 0)

    def _shares(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """(x - y, the shares s = |x_k - y_k| / |x - y|_p, |x - y|_p): the first two (n, m, d), the
        last (n, m, 1)."""
        xp = namespace(x)
        difference = x[:, None, :] - y[None, :, :]
        r = self.matrix(x, y)[:, :, None]
        return difference, abs(difference) / xp.where(r > 0, r, 1), r

    def roundings(self, d: int) -> int:
        """The error of `matrix`, in roundings of c. The difference and the division bring 3: the
        power p multiplies this relative error by p, and the root 1/p divides it by p again. The
        power, the sum and the root bring d + 3, and two products the rest, with a margin."""
        return d + 12
