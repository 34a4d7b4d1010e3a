"""A trunk that several heads share, as D2, D4 and D_Q do in Table 3 of B (Bréchet et al. 2019)."""

from __future__ import annotations

from typing import NamedTuple

from refot.arrays import Array, InputError, lookup

from .sequential import Cache, Sequential


class HeadCache(NamedTuple):
    """What one forward pass through the trunk and one head leaves for its backward pass."""

    name: str
    trunk: Cache
    head: Cache


class Heads:
    """y = head(trunk(x)), one head at a time; arrays by name: "trunk.0.W", "D2.0.W".

    `weights` and `statistics` hold the arrays of the trunk and the heads themselves, no copies:
    change them in place. Raises InputError for a head that is named "trunk" or that has not the
    dtype of the trunk.
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
        """(y, cache) of head `name` on a batch x. Raises UnknownNameError, and as Sequential."""
        head = lookup(self.heads, name, "name")
        h, trunk_cache = self.trunk.forward(x, train)
        y, head_cache = head.forward(h, train)
        return y, HeadCache(name, trunk_cache, head_cache)

    def backward(self, cache: HeadCache, dy: Array) -> tuple[Array, dict[str, Array]]:
        """(dx, gradients of <dy, y>): the weights of the trunk and of this head, no other's.

        `only` picks those of one part, where the trunk or the head is to stay.
        """
        dh, of_head = self.heads[cache.name].backward(cache.head, dy)
        dx, of_trunk = self.trunk.backward(cache.trunk, dh)
        return dx, {**{f"trunk.{key}": g for key, g in of_trunk.items()},
                    **{f"{cache.name}.{key}": g for key, g in of_head.items()}}
