"""The table of all peers of the benchmark, and how one is found by its name.

Solves are bounded by time alone, and not by a number of iterations.
"""

from __future__ import annotations

import importlib

from refot.arrays import UnknownNameError

from . import newton, ott, pot, refot_itself, torch, unbalanced
from .peer import Peer


def known_peers() -> dict[str, Peer]:
    """Every peer that has an adapter, installed or not."""
    groups = (refot_itself.peers(), pot.peers(), ott.peers(), torch.peers(), newton.peers(),
              unbalanced.peers())
    return {peer.name: peer for group in groups for peer in group}


DEFAULT = ("refot-numpy", "pot-log", "pot-scaling", "pot-stabilized", "pot-lazy",
           "ott-lse", "ott-momentum", "ott-anderson", "geomloss-tensorized", "geomloss-online",
           "geomloss-multiscale", "regot-lbfgs", "regot-splr", "regot-ssns", "mdot-tnt",
           "flash-sinkhorn")
"""The peers that are compared with `refot` where no others are named, if they are installed."""


def find_peer(name: str) -> Peer:
    """The peer of a name. A name `module:attribute` is that of a Peer that the user has written.
    Raises UnknownNameError."""
    module, _, attribute = name.partition(":")
    if attribute:
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError as error:
            raise UnknownNameError("peer", f"{name!r}", f"a module ({error})") from error
        if isinstance(found, Peer):
            return found
        raise UnknownNameError("peer", f"{name!r}", f"a Peer in {module}")
    known = known_peers()
    if name not in known:
        raise UnknownNameError("peer", f"{name!r}", "module:attribute, or " + ", ".join(known))
    return known[name]
