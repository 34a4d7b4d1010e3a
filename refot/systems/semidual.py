"""SDOT and SDOTNN: Algorithm 1 of H (Houdard et al. 2023), whose steps are numbered in the code.

    initialise: psi_0 = 0, theta at random; for n = 1 to N:
      1  psi_n ~ argmax H_lam(., theta): K steps from psi_{n-1}, on batches B_{n,1..K} of z
      2  theta: one step of Adam on H_lam(psi_n, .), by H-30 on a batch B'_n of z

The transport is semi-discrete, from the law of g_theta(z) to nu, the uniform law on the training
set y_1..y_J. Batches are drawn from the first; every step uses the whole of the second. psi is the
dual potential on the training set, and H_lam the semi-dual (H-23).

SDOT: psi is a vector of J numbers, and step 1 is averaged stochastic gradient ascent, H-28. Its
supergradient is D = b - chi (erratum H1), where b are the weights of nu, and chi is the conditional
law of y given x in the plan. SDOTNN: psi is a network, psi_j = psi(y_j), and step 1 is K steps of
Adam on its weights.

The cost is |x - y|^2 / alpha with alpha = mean_j |y_j|^2, and lam, psi and H are in units of that
cost. With the plain cost |x - y|^2, the same problem has alpha lam in place of lam (erratum H4).
d1 c is the derivative of c(x, y) in x.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, as_count, namespace
from refot.backend_contract import BackendLike
from refot.networks import Adam
from refot.networks.optimisers import as_nonnegative
from refot.systems.base.generator_system import GeneratorSystem, SupportedTask
from refot.systems.base.network_system import Batch
from refot.systems.batch.plan import BatchPlan, batch_plan


# ------------------------------------------------------------------ the cost and the plan
class NormalisedCost:
    """c(x, y_j) = |x - y_j|^2 / alpha on a fixed support y (J, d), alpha = mean_j |y_j|^2.

    It is computed as |x|^2 - 2 x.y + |y|^2, with one matrix product, in the dtype of y. x and y are
    first centred at the mean of y. This does not change c, but makes the three terms smaller, so
    that fewer digits are lost when they cancel.
    """

    def __init__(self, y: Array) -> None:
        self.alpha = float((y.astype(np.float64) ** 2).sum(axis=1).mean())
        self.centre = y.mean(axis=0)
        self.y = y - self.centre
        self.sizes = (self.y**2).sum(axis=1)

    def matrix(self, x: Array) -> Array:
        """C (n, J) for x (n, d)."""
        x = x - self.centre
        C = x @ self.y.T
        C *= -2
        C += self.sizes
        C += (x**2).sum(axis=1)[:, None]
        C /= self.alpha
        return C

    def pull_back(self, P: Array, x: Array) -> Array:
        """sum_j P_ij d1 c(x_i, y_j) = (x_i (P 1)_i - (P y)_i) 2 / alpha, (n, d), for P (n, J)."""
        return (2 / self.alpha) * ((x - self.centre) * P.sum(axis=1)[:, None] - P @ self.y)


def semi_discrete_plan(psi: Array, C: Array, lam: float) -> BatchPlan:
    """H_lam(psi) of a batch (H-23), psi^{c,lam} (H-7, H-8), and the plan chi / n, for psi (J,) and
    C (n, J), all in units of C.

    The `gradient` of the result is the supergradient mean_i D(psi, theta, z_i) = b - mean_i chi_i,
    which is H-27 with its sign corrected (erratum H1). At lam = 0, chi_i is 1 at the y_j with the
    least C_ij - psi_j, the first of them if there are several, and 0 elsewhere.
    """
    if lam > 0:
        return batch_plan(psi, C, lam)
    xp = namespace(C)
    rows, reduced = xp.arange(C.shape[0]), C - psi
    nearest = reduced.argmin(axis=1)
    transform = reduced[rows, nearest]
    P = xp.zeros_like(C)
    P[rows, nearest] = 1 / C.shape[0]
    return BatchPlan(transform.mean() + psi.mean(), transform, P)


def averaged_ascent(psi: Array, costs: Iterable[Array], lam: float, gamma: float,
                    exponent: float = 0.5) -> Array:
    """H-28, a step for each cost matrix C (n, J), from psi_0 = psi (J,) on:
    psi~_k = psi~_{k-1} + gamma / k^exponent mean D. Returns psi_K, the mean of psi~_1..psi~_K."""
    total, k = namespace(psi).zeros_like(psi), 0
    for k, C in enumerate(costs, 1):
        D = semi_discrete_plan(psi, C, lam).gradient
        psi = psi + gamma / k**exponent * D
        total += psi
    return total / as_count(k, "the number of costs")


# ------------------------------------------------------------------ Algorithm 1
@dataclass(frozen=True)
class Settings:
    """lam >= 0 in units of |x - y|^2 / alpha; K steps of psi for each step of theta; b latents in a
    batch (another b than the weights of nu).

    `rate` and `betas` are Adam's, for theta. H states none of these numbers.
    """

    lam: float
    K: int
    b: int
    rate: float
    betas: tuple[float, float] = (0.5, 0.999)


@dataclass(frozen=True)
class VectorSettings(Settings):
    """H-28: step k changes psi by gamma / k^exponent times the mean of D.

    gamma is in units of |x - y|^2 / alpha.
    """

    gamma: float = 1.0
    exponent: float = 0.5


@dataclass(frozen=True)
class NetworkSettings(Settings):
    """Settings of SDOTNN: also Adam's rate and betas for the weights of psi."""

    psi_rate: float = 1e-3
    psi_betas: tuple[float, float] = (0.5, 0.999)


class SemiDual(GeneratorSystem):
    """Algorithm 1; a subclass says what psi is, and how step 1 changes it."""

    name = "semidual"

    def __init__(self, seed: int, backend: BackendLike, task: SupportedTask,
                 settings: Settings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)  # theta at random
        self.settings, self.lam = settings, as_nonnegative(settings.lam, "lam")
        self.K, self.b = as_count(settings.K, "K"), as_count(settings.b, "b")
        self.cost = NormalisedCost(self.on_device(task.data))
        self.optimisers = {"g": Adam(settings.rate, *settings.betas)}

    def draw(self) -> Batch:
        """K + 1 batches of latents: B_{n,1}, ..., B_{n,K}, B'_n."""
        return {"z": self.on_device(self.task.latent(self.rng, self.K + 1, self.b))}

    def update(self, batch: Batch) -> dict[str, float]:
        """Steps 1 and 2. The loss `H` is H_lam(psi_n, theta) on B'_n, before step 2, in units of
        |x - y|^2 / alpha."""
        *ascents, last = batch["z"]
        self.ascend(ascents)  # 1
        return {"H": self.descend(last)}  # 2

    @abstractmethod
    def psi(self) -> Array:
        """The present psi at every y_j, (J,)."""

    @abstractmethod
    def ascend(self, batches: Iterable[Array]) -> None:
        """Step 1: from psi_{n-1} to psi_n, by one step for each batch."""

    def plan(self, psi: Array, z: Array) -> BatchPlan:
        """H_lam(psi, theta) on the batch z (b, k), with its supergradient."""
        x, _ = self.g.forward(z)
        return semi_discrete_plan(psi, self.cost.matrix(x), self.lam)

    def descend(self, z: Array) -> float:
        """Step 2: a step of Adam down H_lam, whose gradient is mean_z J' sum_j chi_j d1 c (H-30), J
        the Jacobian of g in theta. Returns H_lam before it."""
        x, cache = self.g.forward(z)
        plan = semi_discrete_plan(self.psi(), self.cost.matrix(x), self.lam)
        gradients = self.g.weight_gradients(cache, self.cost.pull_back(plan.P, x))
        self.optimisers["g"].step(self.g.weights, gradients)
        return float(plan.value)


class SDOT(SemiDual):
    """psi is a vector. Step 1 is averaged stochastic gradient ascent, from psi_{n-1}, which is the
    last average."""

    def __init__(self, seed: int, backend: BackendLike, task: SupportedTask,
                 settings: VectorSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, settings, dtype)
        self.gamma, self.exponent = settings.gamma, settings.exponent
        self.extra = {"psi": self.xp.zeros_like(self.cost.sizes)}  # psi_0 = 0

    def psi(self) -> Array:
        return self.extra["psi"]

    def ascend(self, batches: Iterable[Array]) -> None:
        """H-28, on the costs of g(z)."""
        costs = (self.cost.matrix(self.g.forward(z)[0]) for z in batches)
        self.extra["psi"][...] = averaged_ascent(
            self.psi(), costs, self.lam, self.gamma, self.exponent)


class SDOTNN(SemiDual):
    """psi is a network on the data. Step 1 is K steps of Adam on its weights."""

    def __init__(self, seed: int, backend: BackendLike, task: SupportedTask,
                 settings: NetworkSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, settings, dtype)
        self.y = self.on_device(task.data)
        self.net = task.dual(self.rng, self.xp, self.dtype)
        self.networks["psi"] = self.net
        self.optimisers["psi"] = Adam(settings.psi_rate, *settings.psi_betas)

    def psi(self) -> Array:
        return self.net.forward(self.y)[0][:, 0]

    def ascend(self, batches: Iterable[Array]) -> None:
        """A step of Adam up H_lam for each batch: minus the supergradient goes backward through
        psi, because optimisers descend."""
        for z in batches:
            psi, cache = self.net.forward(self.y)
            D = self.plan(psi[:, 0], z).gradient
            gradients = self.net.weight_gradients(cache, -D[:, None])
            self.optimisers["psi"].step(self.net.weights, gradients)
