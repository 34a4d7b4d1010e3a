"""Training in PyTorch: a network that learns to draw samples.

A small network turns noise into points. Its loss is the Sinkhorn divergence between a batch of its
points and a batch of data, a module like any other; its gradient comes from refot's closed formulas
and not from an unrolled loop. The picture shows what the network draws before and after training.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import make_moons

from refot.torch import SinkhornDivergence

plt.style.use("refot.plots.pages")
torch.set_num_threads(1)  # the network is small


def data():
    """A network from noise (k, 2) to points (k, 2), and points (1000, 2) of two half moons."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(2, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64),
                                  torch.nn.ReLU(), torch.nn.Linear(64, 2))
    return network, torch.tensor(make_moons(1000, noise=0.05, random_state=0)[0]).float()


def transport(network, points, steps=250, batch=128):
    """Train the network; the loss (steps,) of each batch."""
    loss, values = SinkhornDivergence(eps=0.05, backend="numba"), []
    optimiser = torch.optim.Adam(network.parameters(), lr=0.005)
    for _ in range(steps):
        value = loss(network(torch.randn(batch, 2)), points[torch.randperm(1000)[:batch]])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    return values


def picture(before, after, points, values):
    """Samples of the network before and after, and the loss."""
    figure, axes = plt.subplots(1, 2, figsize=(5.6, 2.6))
    axes[0].scatter(*points.T, s=2, color="0.75")
    axes[0].scatter(*before.T, s=4, color="C1", marker="^", label="before")
    axes[0].scatter(*after.T, s=4, color="C0", label="after")
    axes[0].set(aspect="equal", ylim=(-1.3, 2.0))
    axes[0].axis("off")
    axes[0].legend(loc="upper center", ncols=2, markerscale=2)
    axes[1].semilogy(values)
    axes[1].set(xlabel="step", title="loss S of a batch")
    return figure


if __name__ == "__main__":
    network, points = data()
    noise = torch.randn(300, 2)
    before = network(noise).detach()
    values = transport(network, points)
    after = network(noise).detach()
    held_out = SinkhornDivergence(eps=0.05)
    print(f"S to the data: {held_out(before, points):.4f} before, "
          f"{held_out(after, points):.4f} after")
    picture(before, after, points, values).savefig("torch_training.png")
