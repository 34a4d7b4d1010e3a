"""Newton's direction from a sparse plan: all steps of conjugate gradients in one kernel.

For a plan of some thousands of entries a step takes ten microseconds here; called from Python, one
step at a time, it would take five times as long. `refot.solvers.newton_cg.conjugate_gradients` is
the same algorithm in readable form.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array

from .compile import elementwise, full_width, kernel, reduction
from .sweeps import add_sparse_rows


@reduction
def _product(u: Array, v: Array) -> float:
    """<u, v>."""
    full_width()
    total = 0.0
    for j in range(np.uintp(u.size)):
        total += u[j] * v[j]
    return total


@elementwise
def _advance(step: float, q: Array, Aq: Array, diagonal: Array, x: Array, r: Array, z: Array
             ) -> None:
    """One step along q: x += step q, the residual r -= step A q, and the preconditioned residual
    z = r / diagonal."""
    full_width()
    for j in range(np.uintp(x.size)):
        x[j] += step * q[j]
        r[j] -= step * Aq[j]
        z[j] = r[j] / diagonal[j]


@kernel
def conjugate_gradients(values: Array, columns: Array, starts: Array, s: Array, diagonal: Array,
                        y: Array, accuracy: float, most: int, x: Array, i0: int, i1: int) -> None:
    """Solve A x = y, A = diag d - P' diag(s) P, where d is `diagonal`: until the residual
    r = y - A x has fallen by the factor `accuracy` in the norm sqrt(sum r^2 / d), or for `most`
    steps. P is sparse: `values`, `columns`, `starts` are its `Entries`. x (m,) comes in as 0. i0
    and i1, which every kernel has, are not used: there is one system."""
    r, z, Aq, Pq = y.copy(), y / diagonal, np.empty_like(y), np.empty_like(s)
    q, rz = z.copy(), _product(y, z)
    target = accuracy**2 * rz
    for _ in range(most):
        Aq[:] = 0
        add_sparse_rows(values, columns, starts, q, s, -1, Pq, 0, s.size, Aq)  # P' diag(s) P q
        for j in range(y.size):
            Aq[j] = diagonal[j] * q[j] - Aq[j]
        curvature = _product(q, Aq)
        if not (curvature > 0 and rz > target):
            break
        _advance(rz / curvature, q, Aq, diagonal, x, r, z)
        rz, before = _product(r, z), rz
        for j in range(y.size):
            q[j] = z[j] + rz / before * q[j]
