"""A network whose first layers, the trunk, are shared by several last layers, the heads.

Table 3 of B (Bréchet et al. 2019) has the heads D2, D4 and D_Q.
"""

from __future__ import annotations

from typing import NamedTuple

from refot.arrays import Array, InputError, lookup

from .sequential import Cache, Sequential


class HeadCache(NamedTuple):
    """The caches of a forward pass through the trunk and one head, for its backward pass."""

    name: str
    trunk: Cache
    head: Cache


class Heads:
    """y = head(trunk(x)), one head at a time. The names of arrays begin with "trunk" or with the
    name of the head: "trunk.0.W", "D2.0.W".

    `weights` and `statistics` hold the very arrays of the trunk and the heads, no copies: change
    them in place. Raises InputError for a head that is named "trunk", has a "." in its name, or has
    another dtype than the trunk.
    """

    def __init__(self, trunk: Sequential, heads: dict[str, Sequential]) -> None:
        if not heads or "trunk" in heads or any("." in name for name in heads):
            raise InputError("heads", f"{list(heads)}", 'names without ".", none of them "trunk"')
        if any(head.dtype != trunk.dtype for head in heads.values()):
            raise InputError("heads", "of several dtypes", f"{trunk.dtype}, that of the trunk")
        self.trunk, self.heads = trunk, dict(heads)
        networks = {"trunk": trunk, **heads}
        self.weights = {f"{name}.{key}": w for name, network in networks.items()
                        for key, w in network.weights.items()}
        self.statistics = {f"{name}.{key}": s for name, network in networks.items()
                           for key, s in network.statistics.items()}

    def forward(self, x: Array, name: str, train: bool = True) -> tuple[Array, HeadCache]:
        """(y, cache) of the head `name` on a batch x. Raises UnknownNameError for an unknown head,
        and what `Sequential.forward` raises."""
        head = lookup(self.heads, name, "name")
        h, trunk_cache = self.trunk.forward(x, train)
        y, head_cache = head.forward(h, train)
        return y, HeadCache(name, trunk_cache, head_cache)

    def backward(self, cache: HeadCache, dy: Array) -> tuple[Array, dict[str, Array]]:
        """(dx, gradients of <dy, y> in the weights of the trunk and of this head).

        To train one of the two alone, pass the gradients through `only`.
        """
        dh, of_head = self.heads[cache.name].backward(cache.head, dy)
        dx, of_trunk = self.trunk.backward(cache.trunk, dh)
        return dx, {**{f"trunk.{key}": g for key, g in of_trunk.items()},
                    **{f"{cache.name}.{key}": g for key, g in of_head.items()}}
