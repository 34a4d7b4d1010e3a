"""Bugs of training steps: subclasses of refot's systems, each with a mistake put into it.

They start from the weights of the golden trajectories (training steps recorded in files) and are
trained on the recorded batches, so that nothing is random here.

Papers: B = Bréchet et al. 2019, H = Houdard et al. 2023.

B's algorithm is Info-Sinkhorn. Its generator G maps latents z = (code z1, noise z2) to points x,
and its networks D2, D4 and D_Q have their first layers, the *trunk*, in common; h is what the trunk
returns. Q(z1, y) = z1 . D_Q(y) scores how well a code fits a data point, and lam Q is subtracted
from the cost of the transport. H's algorithm SDOT trains a generator g, whose weights are called
theta, with a semi-dual potential psi that has a number for each data point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.networks.layers import BatchNorm
from refot.systems.base.network_system import NetworkSystem
from refot.systems.info_sinkhorn import InfoSinkhorn
from refot.systems.semidual import SDOT, semi_discrete_plan
from refot.verification.trajectories.systems import golden_system, steps_of

from .bug import bug


def _steps(algorithm: str, kind: type[NetworkSystem]) -> Callable[..., Any]:
    """A `train_step` for this algorithm only, by a system of the buggy class `kind`."""

    def train_step(asked: str, settings: Any, weights: Any, batches: Any) -> Any:
        if asked != algorithm:
            raise NotImplementedError(asked)
        return steps_of(golden_system(algorithm, kind), weights, batches)

    return train_step


# ------------------------------------------------------------------ Q of Info-Sinkhorn
class QOfGenerated(InfoSinkhorn):
    """D_Q is evaluated at the generated points x_i, not at the data y_j."""

    def lamQ(self, z: Array, h: Array) -> Array:
        return super().lamQ(z, self.of_generated(z))

    def descend_Q(self, z: Array, h: Array, P: Array) -> float:
        return super().descend_Q(z, self.of_generated(z), P)

    def of_generated(self, z: Array) -> Array:
        """The features h of the generated points G(z)."""
        x, _ = self.G.forward(z)
        h, _ = self.D.trunk.forward(x)
        return h


class QSeesNoise(InfoSinkhorn):
    """The entries of z are read backwards, so that z1 is taken from its end, where the noise is."""

    def lamQ(self, z: Array, h: Array) -> Array:
        return super().lamQ(z[:, ::-1], h)

    def descend_Q(self, z: Array, h: Array, P: Array) -> float:
        return super().descend_Q(z[:, ::-1], h, P)


class QNotRecomputed(InfoSinkhorn):
    """lam Q is always computed with the weights that D_Q had at the start."""

    def lamQ(self, z: Array, h: Array) -> Array:
        head = self.D.heads["Q"]
        if not hasattr(self, "start"):
            self.start = {key: w.copy() for key, w in head.weights.items()}
        now = {key: w.copy() for key, w in head.weights.items()}
        self.put(self.start)
        lamQ = super().lamQ(z, h)
        self.put(now)
        return lamQ

    def put(self, weights: dict[str, Array]) -> None:
        """Give D_Q these weights."""
        for key, w in self.D.heads["Q"].weights.items():
            w[...] = weights[key]


class QMovesTrunk(InfoSinkhorn):
    """The step of Q also moves the trunk, which is shared and belongs to another optimiser."""

    def update(self, batch: Any) -> dict[str, float]:
        self.y = batch["y"][-1]
        return super().update(batch)

    def descend_Q(self, z: Array, h: Array, P: Array) -> float:
        loss = super().descend_Q(z, h, P)
        h, trunk = self.D.trunk.forward(self.y)
        D_Q, head = self.D.heads["Q"].forward(h)
        z1 = z[:, : D_Q.shape[1]]
        weight = np.exp(z1 @ D_Q.T) / P.size
        dh, _ = self.D.heads["Q"].backward(head, (weight - P).T @ z1)
        _, gradients = self.D.trunk.backward(trunk, dh)
        for key, g in gradients.items():
            self.D.weights[f"trunk.{key}"] -= self.optimisers["Q"].lr * np.sign(g)
        return loss


# ------------------------------------------------------------------ batch norm
class UnbiasedBatchNorm(BatchNorm):
    """Batch norm with the unbiased variance var N/(N-1), in place of var.

    With r = sqrt((N-1)/N), that is var / r^2. As 1 / sqrt(var / r^2 + eps) = r / sqrt(var + eps
    r^2), the layer is r times the right layer with eps r^2 in place of eps.
    """

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Any]:
        r = np.sqrt((len(x) - 1) / len(x))
        gamma, beta = weights
        right = BatchNorm(self.features, self.eps * r**2, self.momentum)
        y, cache = right.forward(x, (gamma * r, beta), statistics, train)
        return y, (cache, r)

    def backward(
        self, dy: Array, cache: Any, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        centred, r = cache
        dx, (dgamma, dbeta) = super().backward(dy, centred, (weights[0] * r, weights[1]))
        return dx, (dgamma * r, dbeta)


class UnbiasedTrunk(InfoSinkhorn):
    """Info-Sinkhorn with the unbiased batch norm in its trunk."""

    def update(self, batch: Any) -> dict[str, float]:
        trunk = self.D.trunk
        trunk.layers = tuple(UnbiasedBatchNorm(each.features) if isinstance(each, BatchNorm)
                             else each for each in trunk.layers)
        return super().update(batch)


# ------------------------------------------------------------------ psi of H
class AverageWithStart(SDOT):
    """The average of H-28 includes its start: the psi at the end of the previous training step."""

    def ascend(self, batches: Iterable[Array]) -> None:
        psi_tilde = self.psi()
        total, terms = psi_tilde.copy(), 1
        for k, z in enumerate(batches, 1):
            psi_tilde = psi_tilde + self.gamma / k**self.exponent * self.plan(psi_tilde, z).gradient
            total, terms = total + psi_tilde, terms + 1
        self.extra["psi"][...] = total / terms


class AscentInTheta(SDOT):
    """The generator ascends the objective, which it should descend."""

    def descend(self, z: Array) -> float:
        x, cache = self.g.forward(z)
        plan = semi_discrete_plan(self.psi(), self.cost.matrix(x), self.lam)
        _, gradients = self.g.backward(cache, -self.cost.pull_back(plan.P, x))
        self.optimisers["g"].step(self.g.weights, gradients)
        return float(plan.value)


for _algorithm, _name, _diagnosis, _kind in (
    ("info_sinkhorn", "Q of generated samples", "", QOfGenerated),
    ("info_sinkhorn", "Q sees the noise", "", QSeesNoise),
    ("info_sinkhorn", "Q not recomputed", "later-step-wrong", QNotRecomputed),
    ("info_sinkhorn", "Q moves the trunk", "trunk-moved", QMovesTrunk),
    ("info_sinkhorn", "unbiased batch norm", "", UnbiasedTrunk),
    ("sdot", "average with its start", "average-holds-start", AverageWithStart),
    ("sdot", "ascent in theta", "step-reversed", AscentInTheta),
):
    bug(f"train_step: {_name}", f"train_step.{_algorithm}", _diagnosis, _steps(_algorithm, _kind),
        ("gaussian",))
