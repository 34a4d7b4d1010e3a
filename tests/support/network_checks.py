"""What the tests of the networks share: derivatives by complex steps, and comparing tensors by
name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

STEP = 1e-30
"""f(x + i h) = f(x) + i h f'(x) + O(h^2): no subtraction, so h may be as small as this."""


def complex_step(loss: Callable[[], Any], arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The gradient of `loss()` in each entry of `arrays`. They are complex, and used by `loss`:
    each entry is changed in place, and put back."""
    gradients = {}
    for name, array in arrays.items():
        gradients[name] = np.empty(array.shape)
        for k in np.ndindex(array.shape):
            array[k] += 1j * STEP
            gradients[name][k] = complex(loss()).imag / STEP
            array[k] = array[k].real
    return gradients


def assert_near(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> None:
    """Names and shapes are equal, and differences at most `tolerance`, relative to the largest
    entry of the tensor or to 1, whichever is larger.

    A failure shows the largest difference of every tensor.
    """
    assert found.keys() == expected.keys()
    differences = {}
    for name, right in expected.items():
        left, right = np.asarray(found[name]), np.asarray(right)
        assert left.shape == right.shape, name
        differences[name] = float(np.max(abs(left - right), initial=0.0)
                                  / max(1.0, np.max(abs(right), initial=0.0)))
    report = "\n".join(f"{name:>20}  {value:.3g}" for name, value in differences.items())
    assert all(value <= tolerance for value in differences.values()), \
        f"largest differences, tolerance {tolerance:g}:\n{report}"
