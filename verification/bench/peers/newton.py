"""Second-order peers, where the user has installed them: regot, curegot and MDOT-TNT.

MDOT-TNT is licensed for non-commercial use only: nothing of refot depends on it.
"""

from __future__ import annotations

import importlib
import math
from functools import partial

import numpy as np

from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance

from .peer import UNBOUNDED, Peer, Solve, density


def regot(instance: Instance, *, method: str) -> Solve:
    """A solver of regot. Its result `dual` holds eps u, and then eps v without its last entry,
    which is 0, for the log scalings u and v of `density`."""
    solver = getattr(importlib.import_module("regot"), f"sinkhorn_{method}")
    C, a, eps = np.asfortranarray(instance.matrix), instance.a, instance.eps

    def solve(accuracy: float) -> Answer:
        found = solver(C, a, a, eps, tol=accuracy, max_iter=UNBOUNDED)
        u, v = found.dual[: len(a)], np.append(found.dual[len(a):], 0.0)
        return Answer(*density(u / eps, v / eps, instance), found.niter)

    return solve


def curegot(instance: Instance, *, method: str) -> Solve:
    """A solver of curegot, regot on a GPU. Its `dual` holds u and then v, n + m numbers in cost
    units: P_ij = exp((u_i + v_j - C_ij) / eps). Written from its README at 0.1.0, and not run."""
    solver = getattr(importlib.import_module("curegot").numpy, f"sinkhorn_{method}")
    C, a, eps = np.ascontiguousarray(instance.matrix), instance.a, instance.eps

    def solve(accuracy: float) -> Answer:
        found = solver(C, a, a, eps, tol=accuracy, max_iter=UNBOUNDED)
        u, v = np.split(np.asarray(found["dual"]), [len(a)])
        return Answer(*density(u / eps, v / eps, instance), found["niter"])

    return solve


def mdot_tnt(instance: Instance) -> Solve:
    """`mdot` in float64 on C / max C, with gamma = max C / eps.

    It stops at the L1 error entropy(a) / gamma^p, from which p follows; uniform weights have the
    entropy log n.
    """
    import torch

    mdot = importlib.import_module("mdot_tnt.mdot").mdot
    largest = instance.matrix.max()
    C, a = torch.tensor(instance.matrix / largest), torch.tensor(instance.a)
    gamma = float(largest / instance.eps)

    def solve(accuracy: float) -> Answer:
        p = math.log(math.log(len(a)) / accuracy) / math.log(gamma)
        u, v, _, _, _ = mdot(a, a, C, gamma, p=p)
        return Answer(*density(u.numpy(), v.numpy(), instance))

    return solve


def peers() -> list[Peer]:
    """regot's quasi-Newton, sparse-plus-low-rank and safe sparse Newton; curegot's solvers, which
    need a GPU and have not been run here; MDOT-TNT."""
    solvers = {"lbfgs": "lbfgs_dual", "splr": "splr", "ssns": "ssns"}
    found = [Peer(f"regot-{name}", partial(regot, method=method), ("regot", "regot"), matrix=True)
             for name, method in solvers.items()]
    found += [Peer(f"curegot-{method}", partial(curegot, method=method), ("curegot", "curegot"),
                   matrix=True) for method in ("bcd", "splr")]
    return [*found, Peer("mdot-tnt", mdot_tnt, ("mdot_tnt", "mdot-tnt"), matrix=True)]
