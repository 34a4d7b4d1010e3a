"""Presets of SDOT and SDOTNN (H = Houdard et al. 2023): MNIST with H's networks, 25 Gaussians, and
quick forms of both.

H prints the networks, the cost and the algorithm. lam, K, batches, rates and the size of a latent
are not in H; these values were found by experiments with refot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from refot.networks import LeakyReLU, Sigmoid
from refot.systems.presets.recipe import preset, preset_on_images
from refot.systems.registry import Preset
from refot.systems.semidual import SDOT, SDOTNN, NetworkSettings, VectorSettings
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.image_networks import Crop, NetworkMaker, deep_convolutional, dense
from refot.systems.tasks.latent import NormalLatent
from refot.systems.tasks.plane import GridPoints

VECTOR = VectorSettings(lam=0.0, K=10, b=100, rate=5e-4, gamma=3.0)
"""SDOT, where psi is a vector, on MNIST."""

NETWORK = NetworkSettings(lam=0.0, K=5, b=100, rate=2e-4, psi_rate=1e-3)
"""SDOTNN, where psi is a network, on MNIST."""

POINTS = VectorSettings(lam=0.0, K=20, b=256, rate=3e-4, gamma=3.0)
"""SDOT on points in the plane."""

POINTS_NN = NetworkSettings(lam=0.0, K=10, b=256, rate=3e-4, psi_rate=1e-3)
"""SDOTNN on points in the plane."""

HELD_OUT = 1_000
"""The number of images that are not trained on. They are compared with as many generated ones."""

PRINTED = (256, 512, 1024)
"""The widths of the hidden layers of H's generator."""

QUICK = (128, 256, 256)
"""The widths of the hidden layers of the generator in most quick presets."""


# ------------------------------------------------------------------ the tasks
def digits(data: str | None, generator: NetworkMaker, hidden: tuple[int, ...], latents: int,
           count: int | None) -> Digits:
    """MNIST with a network of four dense layers as dual or critic, as in H.

    H does not state their widths. Here they are `hidden`, the widths of the generator, in reverse
    order. `latents` is the size of a latent; `data` and `count` are as in `Digits`.
    """
    psi = dense([784, *hidden[::-1], 1], LeakyReLU(0.2))
    return Digits(data, NormalLatent(latents), count=count, held_out=HELD_OUT, judged=HELD_OUT,
                  generator=generator, dual=psi, critic=psi)


def perceptron(hidden: tuple[int, ...] = PRINTED, latents: int = 128, count: int | None = None
               ) -> Callable[[str | None], Digits]:
    """MNIST with H's perceptron as generator; `hidden` are the widths of its hidden layers."""
    generator = dense([latents, *hidden, 784], LeakyReLU(0.2), Sigmoid())
    return lambda data: digits(data, generator, hidden, latents, count)


def dcgan(channels: tuple[int, int, int] = (256, 128, 64), hidden: tuple[int, ...] = PRINTED,
          latents: int = 128, count: int | None = None) -> Callable[[str | None], Digits]:
    """MNIST with H's DCGAN as generator.

    H does not say how DCGAN was "adapted" to 28 x 28. Here it makes images of 32 x 32, of which the
    middle is kept.
    """
    generator = deep_convolutional(latents, channels, Crop(2), Sigmoid())
    return lambda data: digits(data, generator, hidden, latents, count)


_CUT = "1,000 images, widths 128, 256, 256"


# ------------------------------------------------------------------ the table
PRESETS: dict[str, Preset] = {
    "sdot-mnist": preset_on_images(
        SDOT, perceptron(), VECTOR, 20_000,
        "SDOT, lam = 0, perceptron 256-512-1024. H Algorithm 1 and implementation details."),
    "sdot-mnist-dcgan": preset_on_images(
        SDOT, dcgan(), VECTOR, 20_000,
        "SDOT, lam = 0, DCGAN with 256, 128, 64 channels. H implementation details."),
    "sdotnn-mnist": preset_on_images(
        SDOTNN, perceptron(), NETWORK, 20_000,
        "SDOTNN, lam = 0: psi four dense layers. H implementation details."),
    "sdotnn-mnist-dcgan": preset_on_images(
        SDOTNN, dcgan(), NETWORK, 20_000, "SDOTNN, lam = 0, DCGAN. H implementation details."),
    "sdot-mnist-quick": preset_on_images(
        SDOT, perceptron(QUICK, 32, 1_000), VECTOR, 1_000, f"SDOT but {_CUT}."),
    "sdotnn-mnist-quick": preset_on_images(
        SDOTNN, perceptron((64, 128, 256), 32, 1_000), replace(NETWORK, K=2, rate=5e-4), 600,
        "SDOTNN but K = 2, 1,000 images, widths 64, 128, 256."),
    "sdot-mnist-dcgan-quick": preset_on_images(
        SDOT, dcgan((64, 32, 16), QUICK, 32, 1_000), replace(VECTOR, K=5), 300,
        f"SDOT with the DCGAN but 64, 32, 16 channels, K = 5; {_CUT}."),
    "sdot-gaussians25": preset(
        SDOT, lambda: GridPoints(2_000, 256), POINTS, 10_000, "SDOT, lam = 0, on 2,000 points."),
    "sdot-gaussians25-quick": preset(
        SDOT, lambda: GridPoints(500, 64), POINTS, 1_500,
        "SDOT, lam = 0, on 500 points, width 64."),
    "sdotnn-gaussians25-quick": preset(
        SDOTNN, lambda: GridPoints(500, 64), POINTS_NN, 1_500,
        "SDOTNN, lam = 0, on 500 points, width 64."),
    "sdot-gaussians25-lam-quick": preset(
        SDOT, lambda: GridPoints(500, 64), replace(POINTS, lam=0.01), 1_500,
        "SDOT, lam = .01 in units of c / alpha, on 500 points, width 64."),
    "sdotnn-gaussians25-lam-quick": preset(
        SDOTNN, lambda: GridPoints(500, 64), replace(POINTS_NN, lam=0.01), 1_500,
        "SDOTNN, lam = .01 in units of c / alpha, on 500 points, width 64."),
}
