"""The CUDA kernels compile to machine code for a GPU, without one: by nvcc and by NVRTC.

Machine code, not PTX alone: only then is it known that registers and shared memory suffice.
"""

from __future__ import annotations

import numpy as np
import pytest
from cuda_host.device_compilers import COMPILERS

from refot.backends.cupy.operations import FusedOperations
from refot.backends.cupy.sources import DEVICE_OPTIONS, Build, build, source
from refot.costs.operands import DenseCost, point_cost

THREADS = FusedOperations.threads
POINTS = [build(point_cost(np.ones((1, d), dtype), np.ones((1, d), dtype), cost), values, THREADS)
          for dtype, d, cost, values in [
              (np.float32, 3, "sqeuclidean", 1), (np.float32, 64, "euclidean", 4),
              (np.float64, 64, "l1", 4), (np.float32, 3, "dot", 4)]]
MATRICES = [build(DenseCost(np.ones((1, 1), dtype)), 4, THREADS)
            for dtype in (np.float32, np.float64)]


@pytest.fixture(params=COMPILERS)
def compiler(request: pytest.FixtureRequest):
    compile_, present, reason = COMPILERS[request.param]
    if not present:
        pytest.skip(reason)
    return compile_


@pytest.mark.parametrize("made", [*POINTS, *MATRICES], ids=lambda made: f"{made.kind}-{made.dtype}")
def test_every_operation_compiles(compiler, made: Build) -> None:
    operations = ["softmin", "plan_apply", "plan_cost"]
    operations += [] if made.kind == "MATRIX" else ["plan_cost_gradient"]
    done, log = compiler(source(*operations), (*made.options, *DEVICE_OPTIONS))
    assert done, log
    assert "warning" not in log


def test_each_operation_compiles_alone(compiler) -> None:
    """As CuPy compiles it: no operation leans on what another one's file defines."""
    for operation in ("softmin", "plan_apply", "plan_cost", "plan_cost_gradient"):
        done, log = compiler(source(operation), (*POINTS[0].options, *DEVICE_OPTIONS))
        assert done, f"{operation}: {log}"


def test_a_broken_kernel_is_refused(compiler) -> None:
    """Both by the front end, and where shared memory does not suffice."""
    text, options = source("softmin"), (*POINTS[0].options, *DEVICE_OPTIONS)
    for broken in (text.replace("fused(-scale, cost[r][c], hj[c])", "fused(-scale, cost[r][c])"),
                   text.replace("[TILE_ROWS + 1]", "[99 * TILE_ROWS]")):
        assert broken != text
        done, _ = compiler(broken, options)
        assert not done
