"""A training loop in JAX: parameters of a simulator, from its outcome alone.

A simulator throws particles along a spiral; how far it winds, how wide it is and how much the
particles scatter are unknown. Only a cloud of final positions was seen, and no particle is known
from another. The divergence between simulated and seen clouds is differentiated through the
simulator, compiled with it by `jax.jit`. The picture shows both clouds, before and after.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from jax import numpy as jnp

from refot.jax import sinkhorn_divergence

plt.style.use("refot.plots.pages")
TRUE, START = jnp.array([4.0, 1.0, 0.05]), jnp.array([2.0, 0.7, 0.2])


def simulated(parameters, noise):
    """Positions (n, 2) of particles on a spiral, from noise (n, 3): uniform, normal, normal."""
    winding, width, scatter = parameters
    angle, radius = winding * noise[:, 0], width * (0.2 + noise[:, 0])
    on_it = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    return on_it + scatter * noise[:, 1:]


def data(n=200):
    """The cloud (n, 2) that was seen, and noise (n, 3) for simulations."""
    rng = np.random.default_rng(0)
    noise = np.concatenate([rng.random((2, n, 1)), rng.normal(size=(2, n, 2))], axis=2)
    return simulated(TRUE, noise[0]), jnp.array(noise[1])


def transport(seen, noise, steps=150, rate=0.3):
    """The parameters (steps + 1, 3) on the way."""
    def loss(parameters):
        return sinkhorn_divergence(simulated(parameters, noise), seen, eps=0.02)

    gradient, path = jax.jit(jax.grad(loss)), [START]
    for _ in range(steps):
        path.append(path[-1] - rate * gradient(path[-1]))
    return np.array(path)


def picture(seen, clouds):
    """The cloud that was seen, and simulated ones."""
    figure, axes = plt.subplots(1, 2, sharex=True, sharey=True, figsize=(5.6, 2.8))
    for each, (title, cloud) in zip(axes, clouds.items(), strict=True):
        each.scatter(*seen.T, s=9, label="seen", color="C1", marker="^")
        each.scatter(*cloud.T, s=9, label="simulated", color="C0")
        each.set(title=title, aspect="equal")
        each.axis("off")
    axes[1].legend(loc="upper right")
    return figure


if __name__ == "__main__":
    seen, noise = data()
    path = transport(seen, noise)
    for title, parameters in (("start", path[0]), ("found", path[-1]), ("true", TRUE)):
        print("{:5}: winding {:.3f}, width {:.3f}, scatter {:.3f}".format(title, *parameters))
    clouds = {"before": simulated(path[0], noise), "after": simulated(path[-1], noise)}
    picture(seen, clouds).savefig("jax_training.png")
