"""Info-Sinkhorn: Algorithm 1 of B, whose lines are numbered in `update`.

G maps a latent z = (z1, z2) to data; z1 holds the informative codes. D2 and D4 are dual networks,
Q(z1, y) = z1 . D_Q(y), and all three are heads on one trunk (Table 3; section 4.1), which moves
with D2 and D4 only. lam = 0 is the Sinkhorn baseline; `debiased=False` minimises W instead of S
(Fig. 1).

Where the print is wrong (E2, E3) this is the corrected form: lam Q inside the transform, no + eps.
`printed=True` puts lam Q where the print has it, to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array, as_count, as_positive, lookup
from refot.backend_contract import BackendLike
from refot.costs.ground import GROUND_COSTS
from refot.costs.operands import PointCost
from refot.gradients import dot_product_gradient, points_gradient
from refot.networks import Adam, Heads, Sequential, only
from refot.networks.optimisers import as_nonnegative
from refot.systems.base.network_system import Batch, NetworkSystem, chunks
from refot.systems.batch.plan import BatchPlan, batch_plan, printed_batch_plan
from refot.systems.tasks.info_sinkhorn_tasks import Task
from refot.systems.tasks.latent import Latent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Rates:
    """Learning rates and Adam's betas; `decay` = (first, last): linearly to 2 % between them."""

    D: float
    Q: float
    G: float
    betas: tuple[float, float]
    weight_decay_Q: float = 0.0
    decay: tuple[int, int] | None = None

    def factor(self, iteration: int) -> float:
        """What the rates are multiplied with in that iteration."""
        if self.decay is None:
            return 1.0
        first, last = self.decay
        return float(np.interp(iteration, [first, last], [1.0, 0.02]))


@dataclass(frozen=True)
class Settings:
    """The numbers of Tables 1 and 2: eps, lam in the units of the cost; `batch` B does not state.

    `cost_scale` multiplies the ground cost (1/pixels for the mean over pixels, erratum E10).
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


class InfoSinkhorn(NetworkSystem):
    """Algorithm 1 of B, on data that `task` draws and judges."""

    name = "info_sinkhorn"

    def __init__(
        self, preset: str, seed: int, backend: BackendLike, task: Task, latent: Latent,
        settings: Settings,
    ) -> None:
        super().__init__(preset, seed, backend)
        self.task, self.latent, self.settings = task, latent, settings
        # line 1: D2 and D4 (one trunk, with D_Q), G, Q as neural networks
        self.G: Sequential = task.generator(latent, self.rng, self.xp)
        self.D: Heads = task.duals(latent, self.rng, self.xp)
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
        """n_D + 1 mini-batches (z, y, z', z''): one for each dual step, a fresh one for G and Q."""
        s = self.settings
        z = self.latent.draw(self.rng, s.n_D + 1, 3, s.batch)  # z, z', z''
        y = np.stack([self.task.draw(self.rng, s.batch) for _ in range(s.n_D + 1)])
        return {"z": self.on_device(z), "y": self.on_device(y)}

    def update(self, batch: Batch) -> dict[str, float]:
        """Lines 3 to 11. W_xy, W_xx: the semi-duals B-24, B-27; Q: B-31; G: B-32. Cost units."""
        self.set_rates()
        *dual_steps, last = zip(batch["z"], batch["y"], strict=True)
        for z, y in dual_steps:  # line 3
            self.ascend_D2(z[0], y)  # lines 4, 5
            if self.settings.debiased:
                self.ascend_D4(z[1], z[2])  # lines 6, 7
        (z, z1, z2), y = last  # line 9
        return self.descend(z, z1, z2, y)  # lines 8, 10, 11

    def ascend_D2(self, z: Array, y: Array) -> float:
        """Line 5: an Adam step up B-24 in D2 and the trunk."""
        x, _ = self.G.forward(z)
        h, trunk = self.D.trunk.forward(y)
        D2, head = self.D.heads["D2"].forward(h)
        gamma = self.plan(D2[:, 0], self.cost(x, y).dense(), self.lamQ(z, h))
        self.ascend("D2", trunk, head, gamma)
        return float(gamma.value)

    def ascend_D4(self, z1: Array, z2: Array) -> float:
        """Line 7: an Adam step up B-27 in D4 and the trunk, on (z', z'')."""
        x1, _ = self.G.forward(z1)
        x2, _ = self.G.forward(z2)
        h, trunk = self.D.trunk.forward(x2)
        D4, head = self.D.heads["D4"].forward(h)
        eta = batch_plan(D4[:, 0], self.cost(x1, x2).dense(), self.settings.eps)
        self.ascend("D4", trunk, head, eta)
        return float(eta.value)

    def ascend(self, name: str, trunk: Any, head: Any, plan: BatchPlan) -> None:
        """Adam's step with minus the gradient of the semi-dual: in the head, and in the trunk."""
        dh, of_head = self.D.heads[name].backward(head, -plan.gradient[:, None])
        _, of_trunk = self.D.trunk.backward(trunk, dh)
        named = {f"{name}.{key}": g for key, g in of_head.items()}
        named |= {f"trunk.{key}": g for key, g in of_trunk.items()}
        self.optimisers[name].step(self.D.weights, named)

    def descend(self, z: Array, z1: Array, z2: Array, y: Array) -> dict[str, float]:
        """Lines 8, 10 and 11: gamma (B-29) and eta (B-30), then Q down B-31 and G down B-32."""
        s, losses = self.settings, {}
        x, cache = self.G.forward(z)
        h, _ = self.D.trunk.forward(y)
        D2, _ = self.D.heads["D2"].forward(h)
        C = self.cost(x, y)
        gamma = self.plan(D2[:, 0], C.dense(), self.lamQ(z, h))  # line 8
        losses["W_xy"], losses["G"] = float(gamma.value), float((gamma.P * C.dense()).sum())
        _, gradients = self.G.backward(cache, points_gradient(gamma.P, C).reshape(x.shape))
        if s.debiased:
            losses["W_xx"], self_loss, of_self = self.self_term(z1, z2)
            losses["G"] -= self_loss
            gradients = {key: g - of_self[key] for key, g in gradients.items()}
        if s.lam > 0:
            losses["Q"] = self.descend_Q(z, h, gamma.P)
        self.optimisers["G"].step(self.G.weights, gradients)
        return losses

    def self_term(self, z1: Array, z2: Array) -> tuple[float, float, dict[str, Array]]:
        """W_xx (B-27), <c(x', x''), eta> / 2 of B-32, and the latter's gradient in G's weights."""
        x1, cache1 = self.G.forward(z1)
        x2, cache2 = self.G.forward(z2)
        D4, _ = self.D.forward(x2, "D4")
        C = self.cost(x1, x2)
        eta = batch_plan(D4[:, 0], C.dense(), self.settings.eps)
        _, of_x1 = self.G.backward(cache1, points_gradient(eta.P / 2, C).reshape(x1.shape))
        _, of_x2 = self.G.backward(cache2, points_gradient(eta.P.T / 2, C.T).reshape(x2.shape))
        loss = float((eta.P * C.dense()).sum()) / 2
        return float(eta.value), loss, {key: of_x1[key] + of_x2[key] for key in of_x1}

    def descend_Q(self, z: Array, h: Array, P: Array) -> float:
        """Line 10: an Adam step down B-31 in the head D_Q; the trunk stays (section 4.1).

        Both integrals on the batch: zeta1 (x) nu is all pairs of its codes and its data.
        """
        z1 = z[:, : self.latent.informative]
        D_Q, cache = self.D.heads["Q"].forward(h)
        Q = z1 @ D_Q.T
        weight = self.xp.exp(Q) / Q.size
        _, gradients = self.D.heads["Q"].backward(cache, dot_product_gradient(weight - P, z1))
        self.optimisers["Q"].step(only(self.D.weights, "Q"),
                                  {f"Q.{key}": g for key, g in gradients.items()})
        return float((weight - Q * P).sum())

    # -------------------------------------------------------------- parts
    def cost(self, x: Array, y: Array) -> PointCost:
        """The ground cost between flat points (n, d) and (m, d)."""
        flat_x, flat_y = x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1)
        return PointCost(flat_x, flat_y, GROUND_COSTS[self.settings.cost], self.settings.cost_scale)

    def lamQ(self, z: Array, h: Array) -> Array:
        """lam Q(z1_i, y_j) = lam z1_i . D_Q(y_j), (n, m), from the trunk's h of y."""
        D_Q, _ = self.D.heads["Q"].forward(h)
        return self.settings.lam * (z[:, : self.latent.informative] @ D_Q.T)

    def plan(self, D2: Array, C: Array, lamQ: Array) -> BatchPlan:
        """gamma, with lam Q inside the transform (E3), or where the print has it."""
        if self.settings.printed:
            return printed_batch_plan(D2, C, lamQ, self.settings.eps)
        return batch_plan(D2, C - lamQ, self.settings.eps)

    def set_rates(self) -> None:
        """The learning rates of this iteration, which is counted here."""
        factor = self.settings.rates.factor(int(self.extra["iteration"]))
        for name, optimiser in self.optimisers.items():
            optimiser.lr = self.base_rates[name] * factor
        self.extra["iteration"] += 1

    # -------------------------------------------------------------- what it generates
    def generate(self, z: Array) -> Array:
        """G(z) with the running statistics, NumPy, for z (n, size)."""
        parts, start = [], 0
        for count in chunks(z.shape[0]):
            part = self.on_device(z[start : start + count])
            parts.append(self.backend.to_numpy(self.G.forward(part, train=False)[0]))
            start += count
        return np.concatenate(parts)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """Generated data: points (count, 2) or images (count, 32, 32)."""
        return self.task.shown(self.generate(self.latent.draw(rng, count)))

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """The task's measures of what is generated, with the categorical code beside it."""
        z = self.latent.draw(rng, self.task.judged)
        return dict(self.task.judge(self.generate(z), self.latent.category(z)))

    def picture(self, rng: np.random.Generator) -> Figure:
        """What the task draws of it: data coloured by code, or a row of codes a noise (Fig. 3)."""
        return self.task.picture(self.generate, self.latent, rng)
