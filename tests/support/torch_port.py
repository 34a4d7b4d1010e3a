"""Every algorithm of the golden trajectories in PyTorch with autograd: `train_step`.

It is an independent implementation, from the papers and the files of the trajectories: nothing of
refot is imported. Only the losses are written by hand; autograd differentiates them. Plans that
count as constants are detached.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch

F64 = torch.float64


def train_step(algorithm: str, settings: Any, weights: Any, batches: Any) -> list[dict[str, Any]]:
    """The capability `train_step` of the verifier: one training step for each batch, from these
    weights and with new optimisers."""
    return STEPS[algorithm](settings, weights).run(batches)


def mean_exp(t: Any, dim: int) -> Any:
    """log mean exp along an axis."""
    return torch.logsumexp(t, dim) - math.log(t.shape[dim])


def sq(x: Any, y: Any) -> Any:
    """|x - y|^2, by differences."""
    return ((x[:, None] - y) ** 2).sum(-1)


def norm(x: Any, y: Any) -> Any:
    """|x - y|, with derivative 0 where x = y."""
    r2 = sq(x, y)
    return torch.where(r2 > 0, torch.where(r2 > 0, r2, 1.0).sqrt(), 0.0)


class Port:
    """What all algorithms share: networks from the text of their layers, optimisers from their
    numbers, and a record `taken` of the gradients of each step."""

    def __init__(self, settings: Any, weights: Any) -> None:
        self.s, self.w = settings, {k: torch.tensor(v, dtype=F64) for k, v in weights.items()}
        for key, value in self.w.items():
            value.requires_grad_(key.rpartition(".")[2] in ("W", "b", "gamma", "beta"))
        self.optimisers: dict[str, Any] = {}
        self.taken: list[Any] = []

    def run(self, batches: Any) -> list[dict[str, Any]]:
        steps = []
        for batch in batches:
            losses = self.update(**{k: torch.tensor(v, dtype=F64) for k, v in batch.items()})
            steps.append({"losses": {k: float(v.detach()) for k, v in losses.items()},
                          "gradients": self.taken,
                          "weights": {k: v.detach().numpy().copy() for k, v in self.w.items()}})
            self.taken = []
        return steps

    def update(self, **batch: Any) -> dict[str, Any]:
        raise NotImplementedError

    def net(self, name: str, x: Any, part: str = "") -> Any:
        """The network, or one part of it, in training mode."""
        layers = self.s["networks"][name]
        prefix = f"{name}/{part}." if part else f"{name}/"
        for k, text in enumerate(layers[part] if part else layers):
            x = self.layer(text, f"{prefix}{k}.", x)
        return x

    def layer(self, text: str, at: str, x: Any) -> Any:
        if text.startswith("Dense"):
            return x @ self.w[at + "W"] + self.w[at + "b"]
        if text.startswith("Tanh"):
            return torch.tanh(x)
        if text.startswith("LeakyReLU"):
            slope = re.search(r"slope=([\d.]+)", text)
            assert slope is not None
            return torch.nn.functional.leaky_relu(x, float(slope[1]))
        assert text.startswith("BatchNorm"), text
        return torch.nn.functional.batch_norm(
            x, self.w[at + "mean"], self.w[at + "variance"], self.w[at + "gamma"],
            self.w[at + "beta"], training=True, momentum=0.1, eps=1e-5)

    def descend(self, name: str, loss: Any, *parts: str) -> None:
        """A step of the optimiser `name` on the weights whose names begin with one of `parts`."""
        names = [k for k, v in self.w.items() if v.requires_grad and k.startswith(parts)]
        found = torch.autograd.grad(loss, [self.w[k] for k in names])
        self.taken.append({"optimiser": name, "gradients": {
            k: g.numpy().copy() for k, g in zip(names, found, strict=True)}})
        if name not in self.optimisers:
            self.optimisers[name] = self.rule(self.s["optimisers"][name],
                                              [self.w[k] for k in names])
        for k, g in zip(names, found, strict=True):
            self.w[k].grad = g
        self.optimisers[name].step()

    @staticmethod
    def rule(n: Any, parameters: Any) -> Any:
        if n["rule"] == "Adam":
            return torch.optim.Adam(parameters, lr=n["lr"], betas=(n["beta1"], n["beta2"]),
                                    eps=n["eps"], weight_decay=n["weight_decay"])
        return torch.optim.RMSprop(parameters, lr=n["lr"], alpha=n["alpha"], eps=n["eps"])

    def clip(self, name: str) -> None:
        with torch.no_grad():
            for key, w in self.w.items():
                if key.startswith(f"{name}/"):
                    w.clamp_(-self.s["c"], self.s["c"])


# ------------------------------------------------------------------ B
class InfoSinkhorn(Port):
    def update(self, z: Any, y: Any) -> dict[str, Any]:
        s = self.s
        for (z0, z1, z2), data in zip(z[:-1], y[:-1], strict=True):
            x, x1, x2 = (self.net("G", each).detach() for each in (z0, z1, z2))
            h = self.net("D", data, "trunk")
            C = self.cost(x, data) - self.lamQ(z0, h).detach()
            self.descend("D2", -self.value(self.net("D", h, "D2")[:, 0], C), "D/trunk", "D/D2")
            D4 = self.net("D", self.net("D", x2, "trunk"), "D4")[:, 0]
            self.descend("D4", -self.value(D4, self.cost(x1, x2)), "D/trunk", "D/D4")
        (z0, z1, z2), data = z[-1], y[-1]
        x, x1, x2 = (self.net("G", each) for each in (z0, z1, z2))
        C, C_self = self.cost(x, data), self.cost(x1, x2)
        h = self.net("D", data, "trunk")
        D2, reduced = self.net("D", h, "D2")[:, 0], C - self.lamQ(z0, h)
        D4 = self.net("D", self.net("D", x2.detach(), "trunk"), "D4")[:, 0]
        W_xy, W_xx = self.value(D2, reduced), self.value(D4, C_self)
        gamma, eta = self.plan(D2, reduced).detach(), self.plan(D4, C_self).detach()
        Q = z0[:, : len(z0[0]) - 1] @ self.net("D", h.detach(), "Q").T
        loss_Q = (Q.exp() / Q.numel() - gamma * Q).sum()
        loss_G = (gamma * C).sum() - (eta * C_self).sum() / 2
        self.descend("Q", loss_Q, "D/Q")
        self.descend("G", loss_G, "G/")
        assert s["lam"] > 0
        return {"W_xy": W_xy, "W_xx": W_xx, "G": loss_G, "Q": loss_Q}

    def cost(self, x: Any, y: Any) -> Any:
        return abs(x[:, None] - y).sum(-1)

    def lamQ(self, z: Any, h: Any) -> Any:
        """lam Q (n, m); the code z1 is all of z except the last number, which is noise."""
        return self.s["lam"] * z[:, : len(z[0]) - 1] @ self.net("D", h, "Q").T

    def transform(self, D: Any, C: Any) -> Any:
        return -self.s["eps"] * mean_exp((D - C) / self.s["eps"], 1)

    def value(self, D: Any, C: Any) -> Any:
        return self.transform(D, C).mean() + D.mean()

    def plan(self, D: Any, C: Any) -> Any:
        return ((self.transform(D, C)[:, None] + D - C) / self.s["eps"]).exp() / C.numel()


# ------------------------------------------------------------------ G
class AutoDiff(Port):
    """2 W_xy - W_xx - W_yy; autograd differentiates through the L Sinkhorn steps."""

    def W(self, C: Any) -> Any:
        (n, m), K = C.shape, (-C / self.s["eps"]).exp()
        v = torch.full((m,), 1 / m, dtype=F64)
        for _ in range(self.s["L"]):
            u = (1 / n) / (K @ v)
            v = (1 / m) / (K.T @ u)
        return u @ (K * C) @ v

    def loss(self, x: Any, y: Any) -> Any:
        return 2 * self.W(self.c(x, y)) - self.W(self.c(x, x)) - self.W(self.c(y, y))

    def c(self, x: Any, y: Any) -> Any:
        return sq(x, y)

    def update(self, z: Any, y: Any) -> dict[str, Any]:
        losses = {}
        for z_t, y_t in zip(z[:-1], y[:-1], strict=True):
            losses["ascent"] = self.loss(self.net("g", z_t).detach(), y_t)
            self.descend("f", -losses["ascent"], "f/")
            self.clip("f")
        losses["loss"] = self.loss(self.net("g", z[-1]), y[-1])
        self.descend("g", losses["loss"], "g/")
        return losses


class LearnedCost(AutoDiff):
    def c(self, x: Any, y: Any) -> Any:
        return norm(self.net("f", x), self.net("f", y))


class Energy(Port):
    def update(self, z: Any, y: Any) -> dict[str, Any]:
        x, y = self.net("g", z[0]), y[0]
        loss = 2 * norm(x, y).mean() - norm(x, x).mean() - norm(y, y).mean()
        self.descend("g", loss, "g/")
        return {"MMD2": loss}


# ------------------------------------------------------------------ H
class SemiDual(Port):
    def __init__(self, settings: Any, weights: Any) -> None:
        super().__init__(settings, weights)
        self.y = torch.tensor(settings["constants"]["y"], dtype=F64)

    def H(self, psi: Any, x: Any) -> Any:
        reduced, lam = sq(x, self.y) / (self.y**2).sum(1).mean() - psi, self.s["lam"]
        soft = -lam * mean_exp(-reduced / lam, 1) if lam else reduced.min(1).values
        return soft.mean() + psi.mean()

    def psi(self) -> Any:
        return self.w["psi"]

    def climb(self, batches: Any) -> None:
        tilde, total = self.w["psi"].clone(), 0
        for k, z in enumerate(batches, 1):
            tilde = tilde.detach().requires_grad_()
            (D,) = torch.autograd.grad(self.H(tilde, self.net("g", z).detach()), tilde)
            tilde = tilde + self.s["gamma"] / k ** self.s["exponent"] * D
            total = total + tilde
        self.w["psi"] = (total / len(batches)).detach()

    def update(self, z: Any) -> dict[str, Any]:
        self.climb(z[:-1])
        H = self.H(self.psi().detach(), self.net("g", z[-1]))
        self.descend("g", H, "g/")
        return {"H": H}


class SemiDualNN(SemiDual):
    def psi(self) -> Any:
        return self.net("psi", self.y)[:, 0]

    def climb(self, batches: Any) -> None:
        for z in batches:
            self.descend("psi", -self.H(self.psi(), self.net("g", z).detach()), "psi/")


class FlowMatching(Port):
    def __init__(self, settings: Any, weights: Any) -> None:
        super().__init__(settings, weights)
        self.y, self.psi = (
            torch.tensor(settings["constants"][name], dtype=F64) for name in ("y", "psi"))

    def update(self, z: Any, t: Any, u: Any) -> dict[str, Any]:
        alpha = (self.y**2).sum(1).mean()
        chi = torch.softmax((self.psi - sq(z, self.y) / alpha) / self.s["lam"], 1)
        y = self.y[torch.searchsorted(chi.cumsum(1), u[:, None], right=True)[:, 0]]
        v = self.net("v", torch.cat([(1 - t) * z + t * y, t], 1))
        loss = ((v - (y - z)) ** 2).sum(1).mean()
        self.descend("v", loss, "v/")
        return {"loss": loss}


class ClippedWGAN(Port):
    def update(self, z: Any, y: Any, u: Any = None) -> dict[str, Any]:
        for k in range(self.s["n_c"]):
            x = self.net("g", z[k]).detach()
            f_x, f_y = self.net("f", x), self.net("f", y[k])
            between = None if u is None else u[k] * y[k] + (1 - u[k]) * x
            self.critic(f_x.mean() - f_y.mean(), between)
        f_x = self.net("f", self.net("g", z[-1]))
        W = self.net("f", y[-1]).mean() - f_x.mean()
        self.descend("g", -f_x.mean(), "g/")
        return {"W": W}

    def critic(self, loss: Any, between: Any) -> None:
        self.descend("f", loss, "f/")
        self.clip("f")


class PenalisedWGAN(ClippedWGAN):
    def critic(self, loss: Any, between: Any) -> None:
        between.requires_grad_()
        (slope,) = torch.autograd.grad(self.net("f", between).sum(), between, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1) ** 2).mean()
        self.descend("f", loss + self.s["penalty"] * penalty, "f/")


# ------------------------------------------------------------------ L
class EOTGM(Port):
    def features(self, x: Any) -> Any:
        return x

    def W(self, x: Any, y: Any) -> Any:
        """<pi, M> - lam H(pi) with the converged pi as a constant: the gradient is that of <pi, M>.
        """
        M, lam = sq(self.features(x), self.features(y)), self.s["lam"]
        with torch.no_grad():
            g = torch.zeros(M.shape[1], dtype=F64)
            for _ in range(1_000):
                f = -lam * mean_exp((g - M) / lam, 1)
                g = -lam * mean_exp((f[:, None] - M) / lam, 0)
            pi = ((f[:, None] + g - M) / lam).exp() / M.numel()
        return (pi * M).sum() + lam * (pi * pi.log()).sum()

    def update(self, z: Any, y: Any) -> dict[str, Any]:
        losses = {}
        for z_f, y_f in zip(z[:-1], y[:-1], strict=True):
            losses["W_f"] = self.W(y_f, self.net("g", z_f).detach())
            self.descend("f", -losses["W_f"], "f/")
        losses["W"] = self.W(y[-1], self.net("g", z[-1]))
        self.descend("g", losses["W"], "g/")
        return losses


class EOTGAN(EOTGM):
    def features(self, x: Any) -> Any:
        u = self.net("f", x)
        return u / math.sqrt(u.shape[1])


class JointEOTGAN(EOTGAN):
    def features(self, x: Any) -> Any:
        return torch.cat([x, self.s["beta"] * super().features(x)], dim=1)


STEPS: dict[str, type[Port]] = {
    "info_sinkhorn": InfoSinkhorn,
    "sinkhorn_autodiff": AutoDiff,
    "sinkhorn_autodiff_learned": LearnedCost,
    "sdot": SemiDual,
    "sdotnn": SemiDualNN,
    "flow_matching": FlowMatching,
    "eotgm": EOTGM,
    "eotgan": EOTGAN,
    "eotgan_joint": JointEOTGAN,
    "mmd_energy": Energy,
    "wgan_clip": ClippedWGAN,
    "wgan_gp": PenalisedWGAN,
}
