"""The presets of Sinkhorn AutoDiff: Table 1 and Fig. 3 of G, and a learned cost on images.

G = Genevay, Peyré, Cuturi 2018. A preset whose name ends in `-quick` takes fewer steps, or has
smaller networks too, so that it ends within minutes on two processors. c_phi is G's learned cost:
the distance between the outputs of a network with weights phi.
"""

from __future__ import annotations

import math
from dataclasses import replace

from refot.networks import ReLU, Sigmoid
from refot.systems.presets.recipe import preset, preset_on_images
from refot.systems.registry import Preset
from refot.systems.sinkhorn_autodiff import KernelSettings, LearnedCost, Settings, SinkhornAutoDiff
from refot.systems.tasks.colour import ColourImages
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.ellipses import IrisEllipses
from refot.systems.tasks.feature_digits import convolutional_digits, dense_digits
from refot.systems.tasks.image_networks import dense
from refot.systems.tasks.latent import SquareLatent

TABLE_1 = Settings(eps=1.0, L=20, m=200, alpha=0.01)
FIGURE_3 = Settings(eps=1.0, L=10, m=200, alpha=1e-3, optimiser="adam")
LEARNED = Settings(eps=1.0, L=10, m=100, alpha=5e-5, n_c=5, c=0.01)
TABLE_1_MMD = KernelSettings(eps=math.inf, L=20, m=200, alpha=0.01, bandwidth=1.0)


def manifold(data: str | None, width: int = 500) -> Digits:
    """MNIST with latents in the unit square and a generator of two dense layers. G Fig. 3."""
    return Digits(data, SquareLatent(), generator=dense([2, width, 784], ReLU(), Sigmoid()))


PRESETS: dict[str, Preset] = {
    "iris-ellipses": preset(
        SinkhornAutoDiff, IrisEllipses, TABLE_1, 500,
        "3 ellipses on Iris, eps = 1, L = 20, m = 200. G Table 1."),
    "iris-ellipses-eps0.1": preset(
        SinkhornAutoDiff, IrisEllipses, replace(TABLE_1, eps=0.1), 500,
        "The same with eps = .1. G Table 1."),
    "iris-ellipses-eps0.001": preset(
        SinkhornAutoDiff, IrisEllipses, replace(TABLE_1, eps=0.001), 500,
        "The same with eps = .001. G Table 1."),
    "iris-ellipses-mmd": preset(
        SinkhornAutoDiff, IrisEllipses, TABLE_1_MMD, 500,
        "The same with MMD of a Gaussian kernel, bandwidth 1 cm. G Table 1."),
    "mnist-manifold": preset_on_images(
        SinkhornAutoDiff, manifold, FIGURE_3, 10_000,
        "Digits on the unit square, eps = 1, L = 10, m = 200. G Fig. 3a."),
    "mnist-manifold-eps0.1": preset_on_images(
        SinkhornAutoDiff, manifold, replace(FIGURE_3, eps=0.1, L=100), 10_000,
        "The same with eps = .1, L = 100. G Fig. 3b."),
    "mnist-manifold-m10": preset_on_images(
        SinkhornAutoDiff, manifold, replace(FIGURE_3, m=10), 10_000,
        "Digits on the unit square, eps = 1, L = 10, m = 10. G Fig. 3."),
    "mnist-manifold-quick": preset_on_images(
        SinkhornAutoDiff, manifold, FIGURE_3, 800, "G Fig. 3a in 800 steps."),
    "learned-cost": preset_on_images(
        LearnedCost, convolutional_digits, LEARNED, 20_000,
        "MNIST 32 x 32 with the learned cost c_phi, convolutions, n_c = 5, clipping at .01. G "
        "Algorithm 1."),
    "learned-cost-quick": preset_on_images(
        LearnedCost, dense_digits, replace(LEARNED, alpha=5e-4, c=0.05), 400,
        "G Algorithm 1 on MNIST 28 x 28, dense networks of width 256."),
    "learned-cost-cifar10": preset_on_images(
        LearnedCost, ColourImages, replace(LEARNED, eps=100.0), 20_000,
        "CIFAR-10 with the learned cost c_phi, eps = 100, m = 100; needs --data; nobody has "
        "trained it yet. G Table 2."),
}
