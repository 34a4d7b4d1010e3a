"""The systems of the golden trajectories: every algorithm, tiny and in float64.

A golden trajectory is a file with a few recorded training steps, which an implementation in any
language should reproduce. Networks have width 4 and batches 5 or 6 entries, so that a person can
read a file. Initial weights and batches are multiples of 1/1024, so that every language starts at
the same numbers. `train_step` is what the verifier asks of an implementation; the one here is
refot's own. B = Bréchet et al. 2019, H = Houdard et al., G = Genevay, Peyré, Cuturi 2018,
L = Liu et al.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, lookup
from refot.networks import (
    BatchNorm,
    Dense,
    Heads,
    LeakyReLU,
    Optimiser,
    Sequential,
    Tanh,
    mlp,
)
from refot.systems.base.network_system import Batch, NetworkSystem
from refot.systems.baselines import (
    ClippedSettings,
    ClippedWGAN,
    MMDGenerator,
    MMDSettings,
    PenalisedSettings,
    PenalisedWGAN,
)
from refot.systems.batch.costs import Euclidean
from refot.systems.eotgan import EOTGAN, AdversarialSettings, JointEOTGAN, JointSettings
from refot.systems.eotgm import EOTGM
from refot.systems.eotgm import Settings as EOTSettings
from refot.systems.flow_matching import SemiDiscreteFlowMatching, SemiDiscreteSettings
from refot.systems.info_sinkhorn import InfoSinkhorn, Rates
from refot.systems.info_sinkhorn import Settings as InfoSettings
from refot.systems.semidual import SDOT, SDOTNN, NetworkSettings, SemiDual, VectorSettings
from refot.systems.sinkhorn_autodiff import LearnedCost, SinkhornAutoDiff
from refot.systems.sinkhorn_autodiff import Settings as AutoDiffSettings
from refot.systems.tasks.finite_set import FiniteSet
from refot.systems.tasks.latent import Latent, NormalLatent
from refot.verification.vectors.cases import gridded

DATA = gridded(np.random.default_rng(11).normal(size=(8, 2)))
"""y (8, 2): batches of data are drawn from these points, on which H's target measure nu is
uniform."""


# ------------------------------------------------------------------ tasks
class TinyTask(FiniteSet):
    """Eight points in the plane, latents of three numbers, networks of width 4."""

    law = NormalLatent(3)
    data = DATA

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([3, 4, 2], rng, Tanh, dtype=dtype, xp=xp)

    def dual(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([2, 4, 4, 1], rng, Tanh, dtype=dtype, xp=xp)

    critic = dual

    def features(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([2, 4, 3], rng, Tanh, output=Tanh, dtype=dtype, xp=xp)


class TinyFlowTask(TinyTask):
    """As TinyTask, with noise in the plane and a velocity."""

    law = NormalLatent(2)

    def velocity(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([3, 4, 2], rng, Tanh, dtype=dtype, xp=xp)


class TinyInfoTask(FiniteSet):
    """The task of Info-Sinkhorn: as TinyTask, with a trunk of layers that the dual networks D2 and
    D4 share with Q. The trunk has a batch norm, as in Table 3 of B."""

    law = Latent(2, 1, 1)
    data = DATA

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([self.law.size, 4, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def duals(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Heads:
        trunk = Sequential([Dense(2, 4), BatchNorm(4), LeakyReLU(0.2)], rng, dtype, xp)
        outputs = {"D2": 1, "D4": 1, "Q": self.law.informative}
        return Heads(trunk, {name: Sequential([Dense(4, k)], rng, dtype, xp)
                             for name, k in outputs.items()})


# ------------------------------------------------------------------ the algorithms
@dataclass(frozen=True)
class Golden:
    """An algorithm and its settings: `make(settings)` is its system, with random weights.

    `make(settings, kind)` makes a system of another class, such as one with a mistake in it.
    """

    source: str
    about: str
    settings: Any
    make: Callable[..., NetworkSystem]


def _made(its_kind: Any, task: type[FiniteSet] = TinyTask) -> Callable[..., NetworkSystem]:
    def make(settings: Any, kind: Any = its_kind) -> NetworkSystem:
        system: NetworkSystem = kind(3, "numpy", task(), settings, np.float64)
        return system

    return make


GOLDEN: dict[str, Golden] = {
    "info_sinkhorn": Golden(
        "B Algorithm 1",
        "z holds z, z', z'' of each batch; the last batch of a step is for Q and G, whose "
        "gradients use G, D2 and D4 as line 7 leaves them; D2 and D4 both change the trunk, each "
        "with its own Adam.",
        InfoSettings(0.5, 0.25, "l1", Rates(0.01, 0.01, 0.01, (0.5, 0.9)), n_D=2, batch=6),
        _made(InfoSinkhorn, TinyInfoTask)),
    "sinkhorn_autodiff": Golden(
        "G Algorithms 1 and 2, fixed cost |x - y|^2", "2 W_xy - W_xx - W_yy after L steps from "
        "v = 1, differentiated through them; RMSProp.",
        AutoDiffSettings(eps=0.5, L=5, m=6, alpha=0.01), _made(SinkhornAutoDiff)),
    "sinkhorn_autodiff_learned": Golden(
        "G Algorithm 1, learned cost |f(x) - f(y)|", "n_c ascents in f, each on its own batch and "
        "with its weights clipped to [-c, c] afterwards, then a descent in g; RMSProp.",
        AutoDiffSettings(eps=0.5, L=5, m=6, alpha=0.01, n_c=2, c=0.5), _made(LearnedCost)),
    "sdot": Golden(
        "H Algorithm 1, psi a vector",
        "K steps of H-28, the first from psi_{n-1}: step k adds gamma / k^.5 mean_z (b - chi), "
        "where b are the weights of the data and chi is the law of y given g(z); psi_n is the mean"
        " of psi after each step; psi_0 = 0; cost |x - y|^2 / mean |y|^2.",
        VectorSettings(lam=0.1, K=3, b=5, rate=0.01, gamma=1.0), _made(SDOT)),
    "sdotnn": Golden(
        "H Algorithm 1, psi a network", "K ascents in psi on all of y, each on its own batch of z, "
        "then a descent in g; lam = 0, where the transform is a minimum.",
        NetworkSettings(lam=0.0, K=2, b=5, rate=0.01, psi_rate=0.01), _made(SDOTNN)),
    "flow_matching": Golden(
        "Mousavi-Hosseini et al. 2025, semi-discrete couplings",
        "descends mean |v((1 - t) z + t y, t) - (y - z)|^2 in v, whose input is (x, t); y is the "
        "first y_j at which chi_1 + ... + chi_j exceeds u; chi is the law of y given z at "
        "psi, cost |z - y|^2 / mean |y|^2.",
        SemiDiscreteSettings(m=6, rate=0.01, lam=0.1, K=20, b=16, gamma=1.0, rounds=1),
        _made(SemiDiscreteFlowMatching, TinyFlowTask)),
    "eotgm": Golden(
        "L, EOTGM",
        "W = <pi, M> - lam H(pi) with the entropy H, M = |y - g(z)|^2, uniform weights; pi is "
        "optimal, and held fixed in the gradient of W; Adam with betas .5 and .99.",
        EOTSettings(lam=0.5, m=6, rate=0.01, tol=1e-14, max_steps=5_000), _made(EOTGM)),
    "eotgan": Golden(
        "L, EOTGAN",
        "W as in EOTGM, with M = |f(y) - f(g(z))|^2 / p, p the number of features: an ascent in f "
        "on the first batch, a descent in g on the second; Adam with betas .5 and .99.",
        AdversarialSettings(lam=0.05, m=6, rate=0.01, tol=1e-14, max_steps=5_000, rate_f=0.01),
        _made(EOTGAN)),
    "eotgan_joint": Golden(
        "L, EOTGAN, with the data beside their features",
        "as EOTGAN, with M = |y - g(z)|^2 + beta^2 |f(y) - f(g(z))|^2 / p.",
        JointSettings(lam=0.5, m=6, rate=0.01, tol=1e-14, max_steps=5_000, rate_f=0.01, beta=1.5),
        _made(JointEOTGAN)),
    "mmd_energy": Golden(
        "G-2, cost |x - y|", "2 mean c(x, y) - mean c(x, x') - mean c(y, y'), all pairs; Adam.",
        MMDSettings(Euclidean(), m=6, rate=0.01), _made(MMDGenerator)),
    "wgan_clip": Golden(
        "H-13 to H-15, clipping (Arjovsky et al. 2017)", "n_c ascents of mean f(y) - mean f(g(z)), "
        "weights clipped to [-c, c] after each; then a descent of -mean f(g(z)); RMSProp.",
        ClippedSettings(m=6, n_c=2, rate=0.01, c=0.3), _made(ClippedWGAN)),
    "wgan_gp": Golden(
        "H-13 to H-15, gradient penalty (Gulrajani et al. 2017)",
        "n_c ascents of mean f(y) - mean f(g(z)) - penalty * mean (|grad f(t)| - 1)^2, with "
        "t = u y + (1 - u) g(z); then a descent of -mean f(g(z)); Adam.",
        PenalisedSettings(m=6, n_c=2, rate=0.01), _made(PenalisedWGAN)),
}


def golden_system(algorithm: str, *kind: type[NetworkSystem]) -> NetworkSystem:
    """The system of an algorithm, or one of the class `kind` with the same settings, with initial
    weights that are rounded to multiples of 1/1024. Raises UnknownNameError."""
    golden: Golden = lookup(GOLDEN, algorithm, "algorithm")
    system = golden.make(golden.settings, *kind)
    for network in system.networks.values():
        for w in network.weights.values():
            w[...] = gridded(w)
    if isinstance(system, SemiDiscreteFlowMatching):
        system.potential[...] = gridded(system.potential)
    return system


def described(algorithm: str) -> dict[str, Any]:
    """What an implementation must know besides weights and batches: settings, layers, optimisers,
    constants."""
    golden, system = GOLDEN[algorithm], golden_system(algorithm)
    numbers = asdict(golden.settings)
    if isinstance(golden.settings, MMDSettings):
        numbers["cost"] = golden.settings.cost.name
    return {
        "settings": numbers,
        "networks": {name: layers_of(net) for name, net in system.networks.items()},
        "optimisers": {name: rule_of(each) for name, each in system.optimisers.items()},
        "constants": constants_of(system),
    }


def constants_of(system: NetworkSystem) -> dict[str, Any]:
    """The arrays that no step changes: the support of nu, and a flow's potential psi."""
    constants: dict[str, Any] = {}
    if isinstance(system, SemiDual | SemiDiscreteFlowMatching):
        constants["y"] = DATA.tolist()
    if isinstance(system, SemiDiscreteFlowMatching):
        constants["psi"] = system.potential.tolist()
    return constants


def layers_of(net: Sequential | Heads) -> Any:
    """The layers as text, in order; for a trunk with heads, by part."""
    if isinstance(net, Heads):
        return {"trunk": layers_of(net.trunk)} | {
            name: layers_of(head) for name, head in net.heads.items()}
    return [repr(layer) for layer in net.layers]


def rule_of(optimiser: Optimiser) -> dict[str, Any]:
    """The name of an optimiser's update rule, and its parameters."""
    numbers = {key: value for key, value in vars(optimiser).items() if not key.startswith("_")}
    return {"rule": type(optimiser).__name__} | numbers


# ------------------------------------------------------------------ steps
class RecordingOptimiser:
    """Stands in for an optimiser: keeps a copy of the gradients that it gets, then passes them
    on."""

    def __init__(self, name: str, network: str, optimiser: Optimiser,
                 taken: list[dict[str, Any]]) -> None:
        self.name, self.network, self.optimiser, self.taken = name, network, optimiser, taken
        # Info-Sinkhorn sets `lr` in each step. Here it has the same value in all steps, so that it
        # need not be passed on.
        self.lr = optimiser.lr

    def step(self, weights: Mapping[str, Array], gradients: Mapping[str, Array]) -> None:
        self.taken.append({"optimiser": self.name, "gradients": {
            f"{self.network}/{key}": g.copy() for key, g in gradients.items()}})
        self.optimiser.step(weights, gradients)


def weights_of(system: NetworkSystem) -> dict[str, Array]:
    """Copies of all weights and running statistics by name, such as "g/0.W", and of SDOT's
    "psi"."""
    held = {f"{name}/{key}": w for name, net in system.networks.items()
            for key, w in (net.weights | net.statistics).items()}
    held |= {key: w for key, w in system.extra.items() if key == "psi"}
    return {name: w.copy() for name, w in held.items()}


def train_step(
    algorithm: str, settings: Mapping[str, Any], weights: Mapping[str, Array], batches: list[Batch]
) -> list[dict[str, Any]]:
    """Train one step on each batch, from given weights and with fresh optimisers; returns the
    losses, gradients and weights of each step.

    `settings` tell other implementations how to build the system (see `described`). refot has them
    in GOLDEN.
    """
    return steps_of(golden_system(algorithm), weights, batches)


def steps_of(
    system: NetworkSystem, weights: Mapping[str, Array], batches: list[Batch]
) -> list[dict[str, Any]]:
    """A step of the system for each batch from these weights: losses, gradients, weights."""
    for name, net in system.networks.items():
        for key, w in (net.weights | net.statistics).items():
            w[...] = weights[f"{name}/{key}"]
    if "psi" in system.extra:
        system.extra["psi"][...] = weights["psi"]
    taken: list[dict[str, Any]] = []
    recorders: Any = {
        name: RecordingOptimiser(name, name if name in system.networks else "D", each, taken)
        for name, each in system.optimisers.items()}
    system.optimisers = recorders
    steps = []
    for batch in batches:
        losses = system.update(batch)
        losses.pop("marginal_error", None)  # it describes the solver, and is no loss
        steps.append({"losses": losses, "gradients": taken[:], "weights": weights_of(system)})
        taken.clear()
    return steps
