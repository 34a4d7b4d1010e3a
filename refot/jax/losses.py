"""The losses of refot as functions that JAX differentiates, compiles and maps.

x (n, d) and y (m, d), or batches (B, n, d) and (B, m, d); weights a (n,) or (B, n), b likewise, by
default uniform; they sum to 1. A value is differentiable in x, y, a and b by reverse mode, twice:
`jax.grad` gives a gradient, and `jax.jacrev` of that gradient a Hessian. Gradients in weights have
sum 0, because the mass stays 1. float64 where JAX has it enabled, else float32; float16 and
bfloat16 are computed in float32.

`eps` and values are in cost units; eps and all other options are numbers, not traced arrays. `cost`
is what `point_cost` takes; `tol` and `backend` are as for `refot.sinkhorn_divergence_gradient`, but
the default backend is the fastest on the processor, where refot computes for JAX. A solve that does
not reach `tol` warns (ConvergenceWarning); under jit that is when the compiled function runs.
B = Bréchet et al. 2019. U-8 is an equation of docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from refot.arrays import ShapeError, TypeInputError, as_positive, lookup
from refot.autodiff.losses import Loss
from refot.autodiff.measures import Pair
from refot.backend_contract import fastest_backend
from refot.costs.named import as_ground
from refot.jax import functions
from refot.penalties import PENALTIES


class Solved(NamedTuple):
    """A value, and the potentials f (n,), g (m,) and the plan (n, m) of (x, y) from the same solve.
    `potentials` are f, g and for S those of both self terms, one after the other: a `start` of the
    next solve. All but the value carry no gradient. With a batch each has B as its first axis."""

    value: Any
    f: Any
    g: Any
    plan: Any
    potentials: Any


def entropic_value(
    x: Any, y: Any, *, eps: float, a: Any = None, b: Any = None, cost: str = "sqeuclidean",
    tol: float | None = None, backend: str | None = None,
) -> Any:
    """F = <C,P> + eps KL(P | a(x)b) at the optimal plan: one value, or (B,). B-10.

        jax.grad(lambda x: refot.jax.entropic_value(x, y, eps=0.1))(x)

    `solve` has the potentials and the plan beside it.
    """
    loss = loss_of(eps, cost, tol, backend, debiased=False)
    return each(value_of, x, a, y, b, loss)


def sinkhorn_divergence(
    x: Any, y: Any, *, eps: float, a: Any = None, b: Any = None, cost: str = "sqeuclidean",
    tol: float | None = None, backend: str | None = None,
) -> Any:
    """S = F_xy - F_xx / 2 - F_yy / 2: one value, or (B,); S(mu, mu) = 0. B-9.

        jax.grad(lambda x: refot.jax.sinkhorn_divergence(x, y, eps=0.1))(x)

    `solve` has the potentials and the plan beside it.
    """
    return each(value_of, x, a, y, b, loss_of(eps, cost, tol, backend))


def unbalanced_divergence(
    x: Any, y: Any, *, eps: float, rho: float, a: Any = None, b: Any = None,
    cost: str = "sqeuclidean", penalty: str = "kl", tol: float | None = None,
    backend: str | None = None,
) -> Any:
    """S = U_xy - U_xx / 2 - U_yy / 2 + eps / 2 (m_a - m_b)^2: one value, or (B,). U-8.

    a and b are masses of any total, and no mean is subtracted from gradients in them. rho in cost
    units; `penalty` "kl" or "tv", of which the second has no second derivative.
    """
    lookup(PENALTIES, penalty, "penalty")
    balanced = loss_of(eps, cost, tol, backend)
    loss = balanced._replace(rho=as_positive(rho, "rho"), penalty=penalty)
    return each(value_of, x, a, y, b, loss)


def solve(
    x: Any, y: Any, *, eps: float, a: Any = None, b: Any = None, cost: str = "sqeuclidean",
    tol: float | None = None, backend: str | None = None, debiased: bool = True,
    start: Any = None,
) -> Solved:
    """S, or F with `debiased=False`, with the potentials and the plan of (x, y).

    `start` are the `potentials` of a solve of the same sizes, from which this one begins. They save
    iterations where the measures have moved little, as in a training loop or a gradient flow, and
    change no answer beyond its tolerance:

        def loss(x, start):
            found = refot.jax.solve(x, y, eps=0.1, start=start)
            return found.value, found.potentials

        start = None
        for _ in range(100):
            gradient, start = jax.grad(loss, has_aux=True)(x, start)
            x = x - 0.1 * len(x) * gradient
    """
    found: Solved = each(solved, x, a, y, b, loss_of(eps, cost, tol, backend, debiased), start)
    return found


# ------------------------------------------------------------------ one pair of measures
def value_of(x: Any, a: Any, y: Any, b: Any, start: Any, loss: Loss) -> Any:
    """The value alone."""
    return functions.value(x, a, y, b, start, loss)[0]


def solved(x: Any, a: Any, y: Any, b: Any, start: Any, loss: Loss) -> Solved:
    """The value, the potentials and the plan."""
    number, potentials = functions.value(x, a, y, b, start, loss)
    n, m = x.shape[0], y.shape[0]
    still = jax.lax.stop_gradient((x, a, y, b, potentials))
    return Solved(number, potentials[:n], potentials[n:n + m], functions.plan(still, loss),
                  potentials)


# ------------------------------------------------------------------ what is given
def loss_of(eps: float, cost: str, tol: float | None, backend: str | None, debiased: bool = True
            ) -> Loss:
    """The options, checked. The backend is chosen here, when JAX traces, and not when it runs."""
    as_ground(cost)
    return Loss(as_positive(eps, "eps"), cost, debiased=debiased,
                tol=None if tol is None else as_positive(tol, "tol"),
                backend=fastest_backend("cpu", backend).name)


def each(function: Callable[..., Any], x: Any, a: Any, y: Any, b: Any, loss: Loss,
         start: Any = None) -> Any:
    """`function` of two measures, or of each pair of a batch. Raises InputError."""
    x, y = _floating(x, "x"), _floating(y, "y")
    if x.ndim not in (2, 3):
        raise ShapeError("x", f"shape {x.shape}", "(n, d), or (B, n, d) for a batch")
    if y.ndim != x.ndim or y.shape[:-2] != x.shape[:-2]:
        raise ShapeError("y", f"shape {y.shape}", f"{(*x.shape[:-2], 'm', 'd')}, to fit x")
    for name, points in (("x", x), ("y", y)):
        if 0 in points.shape:
            raise ShapeError(name, f"shape {points.shape}", "at least one point")
    a, b = _weights(a, x, "a"), _weights(b, y, "b")
    for name, array in (("y", y), ("a", a), ("b", b)):
        if array.dtype != x.dtype:
            raise TypeInputError(name, f"dtype {array.dtype}", f"{x.dtype}, that of x")
    start = _start(start, x, y, loss)
    _refuse_now(x, a, y, b, loss)
    if x.ndim == 3:
        function = jax.vmap(function, in_axes=(0, 0, 0, 0, 0, None))
    return function(x, a, y, b, start, loss)


def _refuse_now(x: Any, a: Any, y: Any, b: Any, loss: Loss) -> None:
    """Raise InputError for numbers that no loss takes, where JAX has the numbers now. Under jit and
    grad it has them only later, and then the error stands at the end of a long one of JAX."""
    measures = (x, a, y, b)
    if not any(isinstance(part, jax.core.Tracer) for part in measures):
        batch = measures if x.ndim == 3 else (part[None] for part in measures)
        for members in zip(*map(np.asarray, batch), strict=True):
            loss.problems(Pair(*members))


def _start(start: Any, x: Any, y: Any, loss: Loss) -> Any:
    """The potentials to start from, (k,) or (B, k); of length 0 where none are given."""
    if start is None:
        return jnp.zeros((*x.shape[:-2], 0), x.dtype)
    start = _floating(start, "start")
    shape = (*x.shape[:-2], functions.potentials_size(x, y, loss))
    if start.shape != shape:
        raise ShapeError("start", f"shape {start.shape}",
                         f"{shape}, that of `potentials` for measures of these sizes")
    return jax.lax.stop_gradient(start.astype(x.dtype))


def _floating(array: Any, name: str) -> Any:
    """An array in float64 or float32: integers become JAX's default float, half precision
    float32."""
    try:
        array = jnp.asarray(array)
    except (TypeError, ValueError) as error:
        raise TypeInputError(name, f"not an array ({error})", "an array of real numbers") from None
    if jnp.iscomplexobj(array):
        raise TypeInputError(name, f"dtype {array.dtype}", "real numbers")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        return array.astype(float)
    return array if array.dtype in (jnp.float64, jnp.float32) else array.astype(jnp.float32)


def _weights(weights: Any, points: Any, name: str) -> Any:
    """Weights (n,) for points (n, d), or (B, n) for (B, n, d)."""
    shape = points.shape[:-1]
    if weights is None:
        return jnp.full(shape, 1 / shape[-1], points.dtype)
    weights = _floating(weights, name)
    if weights.shape not in (shape, shape[-1:]):
        raise ShapeError(name, f"shape {weights.shape}", f"({shape[-1]},), or {shape}")
    return jnp.broadcast_to(weights, shape)
