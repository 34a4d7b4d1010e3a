"""Info-Sinkhorn's hand-written steps against PyTorch's autograd: the same weights, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from small_info_sinkhorn import system

from refot.networks import BatchNorm, Sequential
from refot.verification.bench.torch_twin import TorchInfoSinkhorn, paired_times

pytest.importorskip("torch")
pytestmark = pytest.mark.peers


def arrays(module: Any) -> list[np.ndarray[Any, Any]]:
    """Parameters in refot's layout: a Linear's weight transposed."""
    return [w.detach().numpy().T for w in module.parameters()]


def is_bias_before_batch_norm(net: Sequential, key: str) -> bool:
    """Whether "k.b" is followed by a batch norm, which subtracts it again."""
    k, _, name = key.partition(".")
    following = net.layers[int(k) + 1 : int(k) + 2]
    return name == "b" and any(isinstance(layer, BatchNorm) for layer in following)


def test_three_steps_end_at_the_same_weights() -> None:
    """In float64. A bias before batch norm has gradient 0 on paper, and Adam makes steps of its
    rounding: those biases are left out, for no output depends on them."""
    ours = system()
    twin = TorchInfoSinkhorn(ours)
    for _ in range(3):
        batch = {name: values.astype(np.float64) for name, values in ours.draw().items()}
        losses, theirs = ours.update(batch), twin.update(batch)
        assert losses["G"] == pytest.approx(theirs["G"], abs=1e-9)
        assert losses["Q"] == pytest.approx(theirs["Q"], abs=1e-9)
    pairs = [("G", ours.G, twin.G), ("trunk", ours.D.trunk, twin.trunk)]
    pairs += [(name, head, twin.heads[name]) for name, head in ours.D.heads.items()]
    for name, net, module in pairs:
        for (key, w), expected in zip(net.weights.items(), arrays(module), strict=True):
            if not is_bias_before_batch_norm(net, key):
                np.testing.assert_allclose(w, expected, atol=1e-8, err_msg=f"{name} {key}")


def test_times_come_in_pairs() -> None:
    times = paired_times(system(), pairs=2, warm_up=1)
    assert len(times.refot) == len(times.torch) == len(times.ratios) == 2
    assert min(times.ratios) <= times.median <= max(times.ratios)
