"""Transport as L regularises it, with the entropy: W_L = min <P, M> - lam H(P), where M (n, m) are
the costs, H is the entropy, and lam > 0 its weight in cost units. And the cost between features of
the points, which L and G use.

A plan with the marginals a, b has H(P) = H(a) + H(b) - KL(P | a(x)b). So with eps = lam and
F = min <P, M> + eps KL(P | a(x)b), the value that refot computes elsewhere,
    W_L = F - lam (H(a) + H(b))                                                     (erratum L1).
The optimal plan and the gradient in the points are those of F. But W_L may be negative, falls to
-infinity as lam grows, is not 0 between a law and itself, and has another gradient in the weights.
L forgets to require P >= 0, without which H is not defined. In L the first measure is the data, and
in B it is the generated sample.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, L = Liu et al.; "L1" is a heading
of docs/errata.md.
"""

from __future__ import annotations

from collections.abc import Callable

from refot.arrays import Array, CostLike, Points, ShapeError, WeightError, Weights, as_points
from refot.backend_contract import BackendLike
from refot.costs.named import CostName
from refot.costs.operands import PointCost, point_cost
from refot.divergences import entropic_value
from refot.gradients import centred, entropic_value_gradient_weights
from refot.objectives import entropy
from refot.problem import log_weights, problem


def entropic_transport_value(
    M: CostLike, a: Weights, b: Weights, lam: float,
    *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """W_L = min <P, M> - lam H(P) = F - lam (H(a) + H(b)), in cost units. L, erratum L1.

    M (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); lam > 0 in cost units. The
    optimal plan is that of F. For the value <P, M> - lam H(P) of any plan see
    `objectives.entropic_primal`.
    """
    p = problem(M, a, b, lam, backend)
    F = entropic_value(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend)
    return F - p.eps * (entropy(p.a) + entropy(p.b))


def entropic_transport_gradient_weights(
    M: CostLike, a: Weights, b: Weights, lam: float,
    *, tol: float | None = None, backend: BackendLike = None
) -> Array:
    """dW_L/da = f + lam log a, centred to sum 0, (n,). L, erratum L1.

    It is the gradient of F plus that of -lam H(a). Raises WeightError where a_i = 0: there the
    slope is -infinity. For the gradient in b, exchange the measures: give (M.T, b, a, lam).
    """
    p = problem(M, a, b, lam, backend)
    if not bool((p.a > 0).all()):
        raise WeightError("a", "a weight of 0", "weights > 0: at 0 the slope is -infinity")
    f = entropic_value_gradient_weights(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend)
    return centred(f + p.eps * log_weights(p.a), p.a)


def feature_cost(
    x: Points, y: Points, feature: Callable[[Array], Array], cost: CostName = "sqeuclidean"
) -> PointCost:
    """The `PointCost` of c(feature(x_i), feature(y_j)), (n, m), which G calls c_phi. L and G.

    x (n, d), y (m, d); `feature` maps points (n, d) to features (n, k). `cost` is what
    `point_cost` takes: "sqeuclidean" in L, "euclidean" in G. A solve with this operand moves mass
    between features instead of points.
    """
    return point_cost(_features(x, feature, "x"), _features(y, feature, "y"), cost)


def _features(points: Points, feature: Callable[[Array], Array], name: str) -> Array:
    """feature(points), (n, k), checked to have one row for each point."""
    points = as_points(points, name)
    found = as_points(feature(points), f"feature({name})")
    if found.shape[0] != points.shape[0]:
        raise ShapeError(f"feature({name})", f"shape {found.shape}",
                         f"({points.shape[0]}, k): a row for each point")
    return found
