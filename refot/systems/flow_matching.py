"""Flow matching, with independent and with semi-discrete couplings of noise and data.

A velocity v(x, t) is a network. A sample is where the path x' = v(x, t) ends at t = 1 that begins
at a noise z at t = 0. v is trained by regression on straight lines from noise to data,

    min_v  E |v((1 - t) z + t y, t) - (y - z)|^2,    t uniform on [0, 1],

in which (z, y) is a pair drawn from a coupling of the law of the noise with nu, the uniform law on
the data y_1..y_J. The best v is the mean of y - z over all lines that pass through x at t. Its
paths carry the noise to nu, whichever the coupling is (Lipman et al. 2023). Where lines cross,
however, a mean is none of them, and the paths bend, so that a solver needs many steps.

Mousavi-Hosseini et al. 2025 ("Flow matching with semidiscrete couplings") take the optimal coupling
for |z - y|^2, whose lines never cross at t < 1. It is that of H (Houdard et al. 2023) with the
noise in place of g_theta(z): a potential psi in R^J that maximises H_lam, found once, by averaged
stochastic ascent. Then y_j is drawn with the probability chi_j given z; at lam = 0 it is the one
with the least c(z, y_j) - psi_j. Costs, psi and lam are in units of |z - y|^2 / alpha, as in
`semidual`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, as_count, as_positive, namespace
from refot.backend_contract import BackendLike
from refot.networks import Adam
from refot.networks.optimisers import as_nonnegative
from refot.systems.base.generator_system import FlowTask, TaskSystem
from refot.systems.base.network_system import Batch, chunks
from refot.systems.semidual import NormalisedCost, averaged_ascent, semi_discrete_plan


@dataclass(frozen=True)
class Settings:
    """m lines in a batch; Adam's rate and betas; `euler` steps of Euler's method for a sample."""

    m: int
    rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    euler: int = 20


@dataclass(frozen=True)
class SemiDiscreteSettings(Settings):
    """Also those of the potential: lam >= 0; `rounds` of K steps of H-28, each on b noises. Step k
    of the first round has the size gamma / k^.5; each round begins at the last average, and has a
    third of the last gamma."""

    lam: float = 0.0
    K: int = 500
    b: int = 256
    gamma: float = 3.0
    rounds: int = 4


class FlowMatching(TaskSystem):
    """Independent pairs: y is uniform on the data, whatever z is."""

    name = "flow_matching"
    task: FlowTask

    def __init__(self, seed: int, backend: BackendLike, task: FlowTask, settings: Settings,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.m, self.euler = as_count(settings.m, "m"), as_count(settings.euler, "euler")
        self.data = self.on_device(task.data)
        self.v = task.velocity(self.rng, self.xp, self.dtype)
        self.networks = {"v": self.v}
        self.optimisers = {"v": Adam(settings.rate, *settings.betas)}

    # -------------------------------------------------------------- a step
    def draw(self) -> Batch:
        """Noises "z" (m, d), times "t" (m, 1), and "u" (m,), uniform on [0, 1), which choose y."""
        z = self.task.latent(self.rng, self.m)
        t, u = (self.rng.random(shape, dtype=np.float32) for shape in ((self.m, 1), self.m))
        return {"z": self.on_device(z), "t": self.on_device(t), "u": self.on_device(u)}

    def update(self, batch: Batch) -> dict[str, float]:
        """A step of v down the regression; `loss` is its value on the batch before the step."""
        z, t = batch["z"], batch["t"]
        y = self.data[self.partners(z, batch["u"])]
        v, cache = self.velocity((1 - t) * z + t * y, t)
        residual = v - (y - z)
        _, gradients = self.v.backward(cache, 2 / self.m * residual)
        self.optimisers["v"].step(self.v.weights, gradients)
        return {"loss": float((residual**2).sum(axis=1).mean())}

    def partners(self, z: Array, u: Array) -> Array:
        """The indices (m,) of the data to which the noises z (m, d) go."""
        return (u * len(self.data)).astype(int)

    def velocity(self, x: Array, t: Array) -> tuple[Array, Any]:
        """v(x, t) (n, d), for points x (n, d) and times t (n, 1), and the cache of its network."""
        return self.v.forward(namespace(x).concatenate([x, t], axis=1))

    # -------------------------------------------------------------- samples
    def path(self, z: Array) -> Iterator[Array]:
        """x (n, d) at t = 0, 1/N, ..., 1, by N = `euler` steps of Euler's method from x = z."""
        N = as_count(self.euler, "euler")
        x, t = z, namespace(z).zeros_like(z[:, :1])
        yield x
        for _ in range(N):
            x = x + self.velocity(x, t)[0] / N
            t = t + 1 / N
            yield x

    def samples_of(self, z: Array) -> Array:
        """Where the paths from z (n, d) end, (n, d)."""
        *_, x = self.path(z)
        return x

    def curvature(self, z: Array) -> float:
        """How far the paths from z (n, d) are from straight lines: the mean of
        |x'(t) - (x(1) - x(0))|^2, divided by that of |x(1) - x(0)|^2; 0 for straight lines."""
        x = np.stack([self.backend.to_numpy(x) for x in self.path(self.on_device(z))])
        v, line = self.euler * np.diff(x, axis=0), x[-1] - x[0]
        return float(((v - line) ** 2).mean() / (line**2).mean())

    def evaluate(self, rng: np.random.Generator) -> dict[str, float]:
        """The task's measures, `curvature` of 500 paths, and `uneven` (`unevenness`) of 20,000
        noises."""
        measures = dict(self.task.judge(self.generate, self.v, rng))
        return measures | {"curvature": self.curvature(self.task.latent(rng, 500)),
                           "uneven": self.unevenness(20_000, rng)}

    def unevenness(self, count: int, rng: np.random.Generator) -> float:
        """The relative standard deviation of the shares p_j of the noise that the data get: 0 if
        the coupling has the marginal nu.

        J sum_j p_j^2 - 1 is estimated without bias, from the pairs of noises with one partner.
        """
        J, drawn = len(self.data), np.zeros(len(self.data))
        for n in chunks(count):
            z = self.on_device(self.task.latent(rng, n))
            u = self.on_device(rng.random(n, dtype=np.float32))
            drawn += np.bincount(self.backend.to_numpy(self.partners(z, u)), minlength=J)
        pairs = (drawn * (drawn - 1)).sum() / (count * (count - 1))
        return float(max(0.0, J * pairs - 1) ** 0.5)


class SemiDiscreteFlowMatching(FlowMatching):
    """Pairs from the optimal coupling of the noise with the data. psi is found when the system is
    made, before the first step."""

    def __init__(self, seed: int, backend: BackendLike, task: FlowTask,
                 settings: SemiDiscreteSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, settings, dtype)
        self.lam, self.cost = as_nonnegative(settings.lam, "lam"), NormalisedCost(self.data)
        self.potential = self._potential(settings, np.random.default_rng([seed, 1]))
        self.extra = {"potential": self.potential}

    def _potential(self, s: SemiDiscreteSettings, rng: np.random.Generator) -> Array:
        """psi (J,), after `rounds` of K steps up H_lam from 0."""
        K, b, gamma = as_count(s.K, "K"), as_count(s.b, "b"), as_positive(s.gamma, "gamma")
        psi = self.xp.zeros_like(self.cost.sizes)
        for k in range(as_count(s.rounds, "rounds")):
            noises = (self.on_device(self.task.latent(rng, b)) for _ in range(K))
            psi = averaged_ascent(psi, map(self.cost.matrix, noises), self.lam, gamma / 3**k)
        return psi

    def partners(self, z: Array, u: Array) -> Array:
        """y_j with the probability chi_j: the first j at which chi_1 + ... + chi_j exceeds u."""
        P = semi_discrete_plan(self.potential, self.cost.matrix(z), self.lam).P
        below = P.cumsum(axis=1)
        return (below > u[:, None] * below[:, -1:]).argmax(axis=1)
