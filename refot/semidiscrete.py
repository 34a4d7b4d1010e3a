"""Semi-discrete optimal transport: the objective H_lambda, its supergradient, averaged SGD.

One measure, mu_theta, is the law of g_theta(Z), the output of a generator for random Z; only
samples x (n, d) of it are known. The other, nu = sum_j b_j delta_{y_j}, has the finite support y
(m, d). `C` is the cost between a batch of samples and the support, `point_cost(x, y)`. chi (n, m)
is the law of y given a sample x (`assignment`). The potential psi (m,) and lam are in cost units;
lam = 0 is the problem without regularisation, as in H-8.

H = Houdard et al. 2023; an erratum such as "H1" is a heading of docs/errata.md. d1 c is the
derivative of c(x, y) in x.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Points,
    Potential,
    Vector,
    Weights,
    as_count,
    as_floating,
    as_number,
    as_points,
    as_positive,
    as_vector,
    as_weights,
    namespace,
)
from refot.backend_contract import BackendLike, get_backend
from refot.costs.forbidden import require_row_partners
from refot.costs.operands import Cost, as_cost, row_blocks
from refot.gradients import points_gradient
from refot.information import as_lam
from refot.solvers.memory import require_result
from refot.transforms import c_eps_transform, c_transform, conditional


# ------------------------------------------------------------------ H-7, H-8, for lam >= 0
def regularised_c_transform(
    psi: Potential, C: CostLike, b: Weights, lam: float, *, backend: BackendLike = None
) -> Array:
    """psi^{c,lam}(x_i) = softmin_j (C_ij - psi_j), (n,), the softmin at temperature lam with the
    weights b; the minimum over j with b_j > 0 for lam = 0. H-7, H-8."""
    if as_lam(lam) > 0:
        return c_eps_transform(psi, C, b, lam, backend=backend)
    return c_transform(*_on_backend(psi, C, b, backend))


def assignment(
    psi: Potential, C: CostLike, b: Weights, lam: float, *, backend: BackendLike = None
) -> Array:
    """chi (n, m), the law of y_j given x_i, with rows of sum 1. The derivative of the transform H-7
    in psi is -chi.

    For lam > 0 it is the softmax `conditional`. For lam = 0 each x_i goes to the y_j with b_j > 0
    whose C_ij - psi_j is least (x_i lies in the Laguerre cell of y_j): chi_ij is 1 for this j and 0
    for the others. Of several minima the first is taken.
    """
    if as_lam(lam) > 0:
        return conditional(psi, C, b, lam, backend=backend)
    psi, C, b = _on_backend(psi, C, b, backend)
    require_result(C)
    xp = namespace(psi)
    psi = xp.where(b > 0, psi, -xp.inf)
    nearest = xp.concatenate([(C.rows(rows) - psi).argmin(axis=1) for rows in row_blocks(C)])
    chi = xp.zeros(C.shape, dtype=psi.dtype)
    chi[xp.arange(C.shape[0]), nearest] = 1
    return chi


# ------------------------------------------------------------------ H_lambda and its gradients
def semi_discrete_objective(
    psi: Potential, C: CostLike, b: Weights, lam: float, *, backend: BackendLike = None
) -> float:
    """H_lam(psi, theta) = mean_i psi^{c,lam}(x_i) + b.psi on a batch x_i = g_theta(z_i). H-23.

    H-20 to H-22, H-25 and H-26 mean the same function. It is concave in psi, and has the same
    value at psi + t for every number t. Its maximum over psi is W_lam, the value H-2 of transport
    between the batch and nu. Its mean over random batches is H_lam of the law of g_theta(Z).
    """
    transform = regularised_c_transform(psi, C, b, lam, backend=backend)
    psi, _, b = _on_backend(psi, C, b, backend)
    return float(transform.mean() + b @ psi)


def supergradient(
    psi: Potential, C: CostLike, b: Weights, lam: float, *, backend: BackendLike = None
) -> Array:
    """D(psi, theta, z_i) = b - chi_i, (n, m), a row for each sample. H-27, sign corrected (H1).

    Each row sums to 0. The mean of the rows is a supergradient of `semi_discrete_objective` in psi.
    It is the gradient where that exists: for lam > 0 everywhere, for lam = 0 where no sample lies
    on the boundary between two Laguerre cells.
    """
    chi = assignment(psi, C, b, lam, backend=backend)
    return namespace(chi).subtract(_on_backend(psi, C, b, backend)[2], chi, out=chi)


def generator_gradient(
    psi: Potential, C: CostLike, b: Weights, lam: float, *, backend: BackendLike = None
) -> Array:
    """sum_j chi_ij d1 c(x_i, y_j) / n, (n, d): the gradient of H_lam in the samples. H-29, H-30.

    The gradient in theta is the sum over i of J_i' times row i, with J_i the Jacobian of
    g_theta(z_i) in theta. For lam = 0 it does not exist where x_i lies on the boundary of two
    Laguerre cells; there the first of the two cells is taken.
    """
    chi = assignment(psi, C, b, lam, backend=backend)
    chi /= chi.shape[0]
    return points_gradient(chi, C)


# ------------------------------------------------------------------ averaged stochastic ascent
def averaged_sgd(
    draw: Callable[[np.random.Generator], Cost],
    rng: np.random.Generator,
    b: Weights,
    lam: float,
    gamma: float,
    *,
    alpha: float = 0.5,
    psi: Potential | None = None,
    backend: BackendLike = None,
) -> Iterator[tuple[Array, Array]]:
    """(psi_tilde_k, psi_k), each (m,), for k = 1, 2, ...: H-28, with D = b - chi (erratum H1).

    psi_tilde_k = psi_tilde_{k-1} + gamma / k^alpha mean_{z in B_k} D(psi_tilde_{k-1}, theta, z);
    psi_k = (psi_tilde_1 + ... + psi_tilde_k) / k. `draw(rng)` draws the batch B_k and returns its
    cost, `point_cost(g_theta(z), y)`. gamma > 0 and lam >= 0 are in cost units; 0 < alpha < 1.
    `psi` (m,) is the start psi_tilde_0, by default 0. In Algorithm 1 of H, which changes psi and
    the generator in turn, it is the psi that the last turn ended with.
    """
    gamma, alpha, lam = as_positive(gamma, "gamma"), _as_exponent(alpha), as_lam(lam)
    on = get_backend(backend)
    b = on.asarray(as_weights(b, None, "b"))
    total = namespace(b).zeros_like(b)
    psi_tilde = total if psi is None else on.asarray(as_vector(psi, len(b), "psi"))
    for k in itertools.count(1):
        D = supergradient(psi_tilde, draw(rng), b, lam, backend=backend).mean(axis=0)
        psi_tilde = psi_tilde + gamma / k**alpha * D
        total = total + psi_tilde
        yield psi_tilde, total / k


def averaged_sgd_bound(k: int, gamma: float, distance: float) -> float:
    """An upper bound of E[max H_lam - H_lam(psi_k)] for alpha = 1/2: O(log k / sqrt k). H, Alg. 1.

    It is sqrt(k+1) (R^2 + 2 gamma^2 (1 + log(k+1))) / (2 gamma k), in cost units. R = `distance` is
    the Euclidean distance from the start to the nearest maximiser psi*. Proof: bound the mean of
    |psi_tilde_k - psi*|^2 by the mean of |psi_tilde_{k-1} - psi*|^2, using |D|^2 <= 2; add up over
    the steps; and apply Jensen's inequality to the average, since H_lam is concave.
    """
    k, gamma, R = as_count(k, "k"), as_positive(gamma, "gamma"), as_number(distance, "distance")
    squares = R**2 + 2 * gamma**2 * (1 + math.log(k + 1))
    bound: float = math.sqrt(k + 1) * squares / (2 * gamma * k)
    return bound


# ------------------------------------------------------------------ the counter-example
def counter_example_h(theta: Vector, y: Points, p: float) -> float:
    """h(theta) = W(delta_theta, uniform on y) = mean_j |theta - y_j|^p, for lam = 0. H-18.

    theta (d,); y (m, d), in H two points; p >= 1. From a single point there is only one plan: it
    sends to each y_j its weight. H claims that H-24 fails for this h; see erratum H2.
    """
    return float(_powers(theta, y, p).mean())


def counter_example_h_slope(theta: Vector, direction: Vector, y: Points, p: float) -> float:
    """The derivative from the right of h at theta along `direction` (d,), with h as in
    `counter_example_h`. It is the left side of H-24."""
    return float(_power_slopes(theta, direction, y, p).mean())


def counter_example_psi(theta: Vector, y: Points, p: float) -> Array:
    """The psi_* (m,) that maximises H_0(., theta), which is `semi_discrete_objective` at lam = 0,
    up to a constant: psi_j = |theta - y_j|^p."""
    return _powers(theta, y, p)


def counter_example_f(psi: Potential, theta: Vector, y: Points, p: float) -> float:
    """F(psi, theta) = min_j (|theta - y_j|^p - psi_j), the c-transform of psi (m,) at theta. H-21
    for lam = 0."""
    cost = _powers(theta, y, p)
    return float((cost - as_vector(psi, cost.shape[0], "psi")).min())


def counter_example_f_slopes(
    theta: Vector, direction: Vector, y: Points, p: float
) -> tuple[float, float]:
    """The derivatives from the (left, right) at theta, along `direction` (d,), of F(psi_*, .). Here
    psi_* is `counter_example_psi` at this theta, and is held fixed.

    At theta all terms of the minimum in F are equal. So the derivative from the right is the least
    of the terms' derivatives from the right, and that from the left the largest of theirs.

    Let theta be none of the y_j. Then F(psi_*, .) is differentiable, and H-24 true, if and only if
    |theta - y_j|^p has the same gradient for all y_j. H states that this never happens. But for
    p = 1 it happens on the line through y_1 and y_2, outside the segment between them (erratum H2).
    For p > 1 it never happens, because v -> p |v|^(p-2) v is injective.

    Let theta = y_j and p = 1. Around it the term |theta - y_j| - psi_j is a cone that lies above
    the other term, so that F(psi_*, .) has the gradient of the other term. But h has a kink at y_j:
    the left side of H-24 does not exist.
    """
    backward = _power_slopes(theta, -as_floating(direction, "direction", ndim=1), y, p)
    return -float(backward.min()), float(_power_slopes(theta, direction, y, p).min())


def _powers(theta: Vector, y: Points, p: float) -> Array:
    """The costs |theta - y_j|^p, (m,)."""
    _, r, p = _differences(theta, y, p)
    return r**p


def _power_slopes(theta: Vector, direction: Vector, y: Points, p: float) -> Array:
    """Right derivatives of |theta - y_j|^p along e: p r^(p-1) (theta - y_j).e / r, (m,).

    r = |theta - y_j|. Where r = 0 the derivative is |e| for p = 1, and 0 for p > 1.
    """
    v, r, p = _differences(theta, y, p)
    e = as_vector(direction, v.shape[1], "direction")
    xp = namespace(v)
    cosine = xp.where(r > 0, v @ e / xp.where(r > 0, r, 1), xp.sqrt(e @ e))
    return p * r ** (p - 1) * cosine


def _differences(theta: Vector, y: Points, p: float) -> tuple[Array, Array, float]:
    """(theta - y_j (m, d), its norms r (m,), p), all checked."""
    y, p = as_points(y, "y"), as_number(p, "p")
    if p < 1:
        raise InputError("p", f"{p}", "a number >= 1")
    v = as_vector(theta, y.shape[1], "theta") - y
    return v, namespace(v).sqrt((v**2).sum(axis=1)), p


# ------------------------------------------------------------------ checks
def _on_backend(
    psi: Potential, C: CostLike, b: Weights, backend: BackendLike
) -> tuple[Array, Cost, Array]:
    """psi, C and b checked, in the dtype of C, on the backend."""
    C, on = as_cost(C), get_backend(backend)
    m = C.shape[1]
    b = as_weights(b, m, "b", C.dtype)
    require_row_partners(C, b)
    psi, b = (on.asarray(v).astype(C.dtype, copy=False)
              for v in (as_vector(psi, m, "psi"), b))
    return psi, C.with_arrays(on.asarray), b


def _as_exponent(alpha: float) -> float:
    alpha = as_number(alpha, "alpha")
    if not 0 < alpha < 1:
        raise InputError("alpha", f"{alpha}", "a number in (0, 1)")
    return float(alpha)
