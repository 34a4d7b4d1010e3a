"""The scaling iteration exactly as printed, G-7, and the loss G-8 after L steps of it.

G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    ConvergenceWarning,
    CostLike,
    Weights,
    as_both_weights,
    as_count,
    as_positive,
    namespace,
)
from refot.costs.forbidden import finite_part, with_partners
from refot.costs.operands import as_cost, as_eps
from refot.foreign import as_given


class ScalingWarning(ConvergenceWarning):
    """The scalings of G-7 left the range of floats: what is returned is infinite or NaN."""

# ------------------------------------------------------------------ scaling form, G-7
@as_given
def scaling_iterates(
    C: CostLike, a: Weights = None, b: Weights = None, eps: Any = REQUIRED, *,
    normalise: bool = False
) -> Iterator[tuple[Array, Array]]:
    """(u_l, v_l) for l = 1, 2, ...: u = a / (K v), v = b / (K'u), K = exp(-C / eps). G-7.

    It starts at v = b, which means g = 0. (G starts at 1/n, its uniform b.) The plan is
    diag(u) K diag(v). In float64 K underflows where C / eps > 745, and overflows where it is <
    -709. Then u and v may become infinite or NaN, as they do in G-7; the first step in which that
    happens warns (ScalingWarning).
    """
    C = as_cost(C)
    eps = as_eps(eps, C)
    a, b = as_both_weights(a, b, C.shape, C.dtype, normalise)
    return _scaling_steps(with_partners(C, a, b).dense() / eps, a, b)


def _scaling_steps(exponent: Array, a: Array, b: Array) -> Iterator[tuple[Array, Array]]:
    """The steps of G-7 for K = exp(-exponent), with nothing done against overflow."""
    xp = namespace(exponent)
    with np.errstate(over="ignore"):
        K = xp.exp(-exponent)
    v, sound = b, True
    for l in itertools.count(1):
        with np.errstate(all="ignore"):  # one warning below, in place of NumPy's at each operation
            u = a / (K @ v)
            v = b / (K.T @ u)
        if sound and not bool(xp.isfinite(u).all() and xp.isfinite(v).all()):
            sound = False
            warnings.warn(
                f"step {l}: u or v is not finite: C / eps goes from {float(exponent.min()):.4g} to "
                f"{float(exponent.max()):.4g}, too far for K = exp(-C / eps); the log domain "
                "(sinkhorn_log, scaling_loss_gradient_log) has no such limit",
                ScalingWarning, stacklevel=2,
            )
        yield u, v


@as_given
def sinkhorn_scaling(
    C: CostLike, a: Weights = None, b: Weights = None, eps: Any = REQUIRED, L: int = REQUIRED, *,
    normalise: bool = False
) -> tuple[Array, Array]:
    """(u (n,), v (m,)) after exactly L steps of G-7. The column sums are then exact, the row sums
    are not. Algorithm 2 of G."""
    L = as_count(L, "L")
    steps = scaling_iterates(C, a, b, eps, normalise=normalise)
    return next(itertools.islice(steps, L - 1, None))


@as_given
def scaling_loss(
    C: CostLike, a: Weights = None, b: Weights = None, eps: Any = REQUIRED, L: int = REQUIRED, *,
    normalise: bool = False
) -> float:
    """sum_ij u_i (K_ij C_ij) v_j after L steps: the sharp loss G-8, in cost units.

    NaN, with a ScalingWarning, where u or v leaves the range of floats.
    """
    u, v = sinkhorn_scaling(C, a, b, eps, L, normalise=normalise)
    C = as_cost(C).dense()
    with np.errstate(all="ignore"):  # the iteration has warned already
        K = namespace(C).exp(-C / as_positive(eps, "eps"))
        return float(u @ (K * finite_part(C)) @ v)
