"""CIFAR-10 under a learned cost (G Table 2, Fig. 4): on a few images of noise, one step."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from refot.arrays import Array, InputError
from refot.datasets.cifar import cifar10
from refot.datasets.images import DataFileError
from refot.systems.registry import make_system
from refot.systems.sinkhorn_autodiff import LearnedCost
from refot.systems.tasks.colour import ColourImages
from refot.systems.training.loop import train

PRESET = "learned-cost-cifar10"
SMALL = {"m": 4, "n_c": 1, "L": 3}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Six batches of four images in the binary version: a label, then red, green, blue."""
    rng, path = np.random.default_rng(0), tmp_path / "cifar"
    path.mkdir()
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        records = rng.integers(256, size=(4, 3073), dtype=np.uint8)
        records[:, 0] = [5, 0, 9, 3]
        (path / f"{name}.bin").write_bytes(records.tobytes())
    return str(path)


def all_finite(arrays: dict[str, Array]) -> bool:
    return all(np.isfinite(array).all() for array in arrays.values())


def test_a_step_moves_both_networks_and_clips_the_cost(folder: str) -> None:
    s = make_system("sinkhorn_autodiff", PRESET, 0, "numpy", {"data": folder, **SMALL})
    assert isinstance(s, LearnedCost)
    before = {name: array.copy() for name, array in s.state().items()}
    losses = s.step()
    after = s.state()
    assert losses.keys() == {"ascent", "loss"}
    assert all(map(math.isfinite, losses.values()))
    assert all_finite(after)
    for network in ("g/", "f/"):
        assert any((array != after[name]).any() for name, array in before.items()
                   if name.startswith(network))
    assert max(abs(w).max() for w in s.f.weights.values()) <= s.settings.c


def test_the_networks_are_those_of_32_by_32_colours(folder: str) -> None:
    task, rng = ColourImages(folder, channels=(8, 4, 2), p=5), np.random.default_rng(1)
    z, x = task.latent(rng, 3).astype(np.float32), task.draw(rng, 3)
    y, _ = task.generator(rng, np, np.float32).forward(z)
    u, _ = task.features(rng, np, np.float32).forward(x)
    assert y.shape == x.shape == (3, 3072)
    assert u.shape == (3, 5)
    assert 0 <= min(x.min(), y.min()) <= max(x.max(), y.max()) <= 1


def test_rows_are_shown_as_the_images_they_were(folder: str) -> None:
    task = ColourImages(folder)
    np.testing.assert_allclose(task.shown(task.data) * 255, cifar10(folder).images, atol=1e-4)


def test_its_measure_is_transport_to_the_images_held_out(folder: str) -> None:
    """0 for those images in any order; for black ones their mean square."""
    task, rng = ColourImages(folder, channels=(8, 4, 2)), np.random.default_rng(1)
    g = task.generator(rng, np, np.float32)
    assert task.judge(lambda z: task.held_out[::-1], g, rng)["W"] == pytest.approx(0, abs=1e-9)
    black = task.judge(lambda z: 0 * task.held_out, g, rng)["W"]
    assert black == pytest.approx((task.held_out.astype(np.float64) ** 2).mean(), rel=1e-6)


def test_a_run_leaves_colour_pictures(folder: str, tmp_path: Path) -> None:
    outcome = train("sinkhorn_autodiff", PRESET, tmp_path / "run", iterations=1,
                    settings={"data": folder, **SMALL})
    assert outcome.iteration == 1
    assert outcome.measures["W"] is not None
    assert (tmp_path / "run" / "samples-000000001.png").stat().st_size > 10_000


def test_without_its_files_it_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data FOLDER"):
        make_system("sinkhorn_autodiff", PRESET, 0)
    with pytest.raises(DataFileError, match=r"has no data_batch_1\.bin"):
        make_system("sinkhorn_autodiff", PRESET, 0, settings={"data": str(tmp_path)})
