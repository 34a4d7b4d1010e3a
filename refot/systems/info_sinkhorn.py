"""Info-Sinkhorn: Algorithm 1 of B (Bréchet et al. 2019), whose lines are numbered in `update`.

The generator G maps a latent z = (z1, z2) to a sample. The informative code z1 should be readable
from the sample; the noise z2 need not be. For this B adds to the transport problem a reward
lam Q(z1, y) for each pair of a code and a data point, with a network Q that learns which belong
together.

Three networks are trained besides G. The dual networks D2 and D4 are potentials of the transport
from samples to data and from samples to samples; Q(z1, y) = z1 . D_Q(y) scores a code. D2, D4 and
D_Q are heads on one trunk (Table 3). Steps of D2 and D4 move the trunk too; steps of Q do not
(section 4.1). With lam = 0 no Q is trained: this is the Sinkhorn baseline. `debiased=False` leaves
out the transport from samples to samples, and so G descends the transport cost W, not the
divergence S (Fig. 1).

Two formulas are misprinted in B (errata E2 and E3). Here they are corrected: lam Q is inside the
transform, and eps is not added to the semi-dual. `printed=True` puts lam Q where B prints it, for
comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, as_count, as_positive, lookup
from refot.backend_contract import BackendLike, formed_by
from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import PointCost
from refot.gradients import dot_product_gradient, points_gradient
from refot.networks import Adam, Cache, Heads, only
from refot.networks.optimisers import as_nonnegative
from refot.systems.base.generator_system import CodedTask, GeneratorSystem
from refot.systems.base.network_system import Batch
from refot.systems.batch.costs import SquaredEuclidean, pull_back
from refot.systems.batch.plan import BatchPlan, batch_plan, printed_batch_plan


@dataclass(frozen=True)
class Rates:
    """Learning rates of D2 and D4, of Q and of G, and Adam's betas.

    `decay` = (first, last): between these iterations all rates fall linearly to 2 % of their value.
    None stands for constant rates.
    """

    D: float
    Q: float
    G: float
    betas: tuple[float, float]
    weight_decay_Q: float = 0.0
    decay: tuple[int, int] | None = None

    def factor(self, iteration: int) -> float:
        """The factor by which all rates are multiplied in this iteration, in [0.02, 1]."""
        if self.decay is None:
            return 1.0
        first, last = self.decay
        return float(np.interp(iteration, [first, last], [1.0, 0.02]))


@dataclass(frozen=True)
class Settings:
    """The numbers of Tables 1 and 2; eps and lam are in the units of the cost.

    n_D is the number of dual steps for each step of G, `batch` the number of points in a
    mini-batch, which B does not state. `cost` is a name of GROUND_COSTS, and `cost_scale` a factor
    of it: 1 / pixels turns the sum over pixels into their mean (erratum E10).
    """

    eps: float
    lam: float
    cost: str
    rates: Rates
    n_D: int = 5
    batch: int = 256
    cost_scale: float = 1.0
    debiased: bool = True
    printed: bool = False

    def __post_init__(self) -> None:
        as_positive(self.eps, "eps")
        as_nonnegative(self.lam, "lam")
        as_positive(self.cost_scale, "cost_scale")
        as_count(self.n_D, "n_D")
        as_count(self.batch, "batch")
        lookup(GROUND_COSTS, self.cost, "cost")


class InfoSinkhorn(GeneratorSystem):
    """Algorithm 1 of B, with the data, networks and measures of `task`. G is the generator."""

    name = "info_sinkhorn"

    def __init__(self, seed: int, backend: BackendLike, task: CodedTask, settings: Settings,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.settings = settings
        # line 1: the networks G, and D2, D4 and D_Q, which share a trunk
        self.G = self.g
        self.D: Heads = task.duals(self.rng, self.xp, self.dtype)
        self.networks = {"G": self.G, "D": self.D}
        rates, (beta1, beta2) = settings.rates, settings.rates.betas
        self.optimisers = {
            "D2": Adam(rates.D, beta1, beta2),
            "D4": Adam(rates.D, beta1, beta2),
            "Q": Adam(rates.Q, beta1, beta2, weight_decay=rates.weight_decay_Q),
            "G": Adam(rates.G, beta1, beta2),
        }
        self.base_rates = {name: each.lr for name, each in self.optimisers.items()}
        self.extra = {"iteration": np.zeros((), dtype=np.int64)}

    # -------------------------------------------------------------- Algorithm 1
    def draw(self) -> Batch:
        """n_D + 1 mini-batches of latents z, z', z'' and data y: one for each dual step, and a new
        one for the step of G and Q."""
        s = self.settings
        z = self.task.latent(self.rng, s.n_D + 1, 3, s.batch)  # z, z', z''
        y = np.stack([self.task.draw(self.rng, s.batch) for _ in range(s.n_D + 1)])
        return {"z": self.on_device(z), "y": self.on_device(y)}

    def update(self, batch: Batch) -> dict[str, float]:
        """Lines 3 to 11. The losses: `W_xy` and `W_xx` are the semi-duals B-24 and B-27, `G` is
        B-32, all three in cost units; `Q` is B-31."""
        self.set_rates()
        *dual_steps, last = zip(batch["z"], batch["y"], strict=True)
        for z, y in dual_steps:  # line 3
            self.ascend_D2(z[0], y)  # lines 4, 5
            if self.settings.debiased:
                self.ascend_D4(z[1], z[2])  # lines 6, 7
        (z, z1, z2), y = last  # line 9
        return self.descend(z, z1, z2, y)  # lines 8, 10, 11

    def ascend_D2(self, z: Array, y: Array) -> float:
        """Line 5: an Adam step up the semi-dual B-24, in D2 and the trunk. Returns its value before
        the step."""
        x, _ = self.G.forward(z)
        h, trunk = self.D.trunk.forward(y)
        D2, head = self.D.heads["D2"].forward(h)
        gamma = self.plan(D2[:, 0], self.costs(x, y), self.lamQ(z, h))
        self.ascend("D2", trunk, head, gamma)
        return float(gamma.value)

    def ascend_D4(self, z1: Array, z2: Array) -> float:
        """Line 7: an Adam step up the semi-dual B-27 on (z', z''), in D4 and the trunk. Returns its
        value before the step."""
        x1, _ = self.G.forward(z1)
        x2, _ = self.G.forward(z2)
        h, trunk = self.D.trunk.forward(x2)
        D4, head = self.D.heads["D4"].forward(h)
        eta = batch_plan(D4[:, 0], self.costs(x1, x2), self.settings.eps)
        self.ascend("D4", trunk, head, eta)
        return float(eta.value)

    def ascend(self, name: str, trunk: Cache, head: Cache, plan: BatchPlan) -> None:
        """An Adam step up the semi-dual of `plan`, in the head `name` and in the trunk.

        Optimisers descend, so minus the gradient of the semi-dual goes backward.
        """
        dh, of_head = self.D.heads[name].backward(head, -plan.gradient[:, None])
        of_trunk = self.D.trunk.weight_gradients(trunk, dh)
        named = {f"{name}.{key}": g for key, g in of_head.items()}
        named |= {f"trunk.{key}": g for key, g in of_trunk.items()}
        self.optimisers[name].step(self.D.weights, named)

    def descend(self, z: Array, z1: Array, z2: Array, y: Array) -> dict[str, float]:
        """Lines 8, 10 and 11: the plans gamma (B-29) and eta (B-30), then a step of Q down B-31 and
        one of G down B-32. Returns the losses of `update`."""
        s, losses = self.settings, {}
        x, cache = self.G.forward(z)
        h, _ = self.D.trunk.forward(y)
        D2, _ = self.D.heads["D2"].forward(h)
        cost = self.cost(x, y)
        C = formed_by(self.backend, cost).matrix
        gamma = self.plan(D2[:, 0], C, self.lamQ(z, h))  # line 8
        losses["W_xy"], losses["G"] = float(gamma.value), float((gamma.P * C).sum())
        gradients = self.G.weight_gradients(cache, moved(gamma.P, cost))
        if s.debiased:
            losses["W_xx"], self_loss, of_self = self.self_term(z1, z2)
            losses["G"] -= self_loss
            for key, g in gradients.items():
                g -= of_self[key]
        if s.lam > 0:
            losses["Q"] = self.descend_Q(z, h, gamma.P)
        self.optimisers["G"].step(self.G.weights, gradients)
        return losses

    def self_term(self, z1: Array, z2: Array) -> tuple[float, float, dict[str, Array]]:
        """(W_xx, B-27; the term <c(x', x''), eta> / 2 of B-32; its gradient in G's weights)."""
        x1, cache1 = self.G.forward(z1)
        x2, cache2 = self.G.forward(z2)
        D4, _ = self.D.forward(x2, "D4")
        cost = self.cost(x1, x2)
        C = formed_by(self.backend, cost).matrix
        eta = batch_plan(D4[:, 0], C, self.settings.eps)
        of_x1 = self.G.weight_gradients(cache1, moved(eta.P / 2, cost))
        of_x2 = self.G.weight_gradients(cache2, moved(eta.P.T / 2, cost.T))
        loss = float((eta.P * C).sum()) / 2
        for key, g in of_x1.items():
            g += of_x2[key]
        return float(eta.value), loss, of_x1

    def descend_Q(self, z: Array, h: Array, P: Array) -> float:
        """Line 10: an Adam step down B-31 in the head D_Q; the trunk stays (section 4.1).

        B-31 has an integral over independent pairs of a code and a data point. Here this is the
        mean over all pairs of the batch. h is the trunk's output for y, P the plan gamma.
        """
        D_Q, cache = self.D.heads["Q"].forward(h)
        z1 = code(z, D_Q)
        Q = z1 @ D_Q.T
        weight = self.xp.exp(Q) / Q.size
        gradients = self.D.heads["Q"].weight_gradients(
            cache, dot_product_gradient(weight - P, z1))
        self.optimisers["Q"].step(only(self.D.weights, "Q"),
                                  {f"Q.{key}": g for key, g in gradients.items()})
        return float((weight - Q * P).sum())

    # -------------------------------------------------------------- parts
    def cost(self, x: Array, y: Array) -> PointCost:
        """The ground cost between points x (n, d) and y (m, d)."""
        return PointCost(x, y, GROUND_COSTS[self.settings.cost], self.settings.cost_scale)

    def costs(self, x: Array, y: Array) -> Array:
        """The cost of every pair, (n, m)."""
        return formed_by(self.backend, self.cost(x, y)).matrix

    def lamQ(self, z: Array, h: Array) -> Array:
        """lam Q(z1_i, y_j) = lam z1_i . D_Q(y_j), (n, m); h is the trunk's output for y."""
        D_Q, _ = self.D.heads["Q"].forward(h)
        return self.settings.lam * (code(z, D_Q) @ D_Q.T)

    def plan(self, D2: Array, C: Array, lamQ: Array) -> BatchPlan:
        """The plan gamma of a batch, with lam Q inside the transform (erratum E3), or as printed.
        """
        if self.settings.printed:
            return printed_batch_plan(D2, C, lamQ, self.settings.eps)
        return batch_plan(D2, C - lamQ, self.settings.eps)

    def set_rates(self) -> None:
        """Set the learning rates of this iteration, and count it."""
        factor = self.settings.rates.factor(int(self.extra["iteration"]))
        for name, optimiser in self.optimisers.items():
            optimiser.lr = self.base_rates[name] * factor
        self.extra["iteration"] += 1


def moved(P: Array, C: PointCost) -> Array:
    """sum_j P_ij d1 c(x_i, y_j), (n, d): the gradient in x. |x - y|^2 has it by one matrix product,
    without an array (n, m, d), which is what takes longest where points are images."""
    if C.ground.is_quadratic:
        return pull_back(C.scale * P, SquaredEuclidean(), C.x, C.y, r2=P)
    return points_gradient(P, C)


def code(z: Array, D_Q: Array) -> Array:
    """The code z1 (n, q): the first q numbers of z, where q is the width of D_Q (m, q)."""
    return z[:, : D_Q.shape[1]]
