"""Costs with a number, "cosine", and functions of the user: "lp(3)", "gaussian(0.5)", c(x, y)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf
from strategies import UNIT

import refot
from refot.arrays import InputError, UnknownNameError
from refot.costs.named import as_ground

RNG = np.random.default_rng(8)
X, Y = RNG.normal(size=(7, 3)), RNG.normal(size=(9, 3)) + 0.3
A, B, EPS = RNG.dirichlet(np.ones(7)), RNG.dirichlet(np.ones(9)), 0.3

NAMES = ["lp(1.5)", "lp(2)", "lp(3)", "gaussian(0.7)", "cosine"]


def exactly(name: str, x: Any, y: Any) -> Any:
    """The cost of two points, to 40 digits."""
    x, y = [mpf(float(t)) for t in x], [mpf(float(t)) for t in y]
    if name == "cosine":
        return 1 - mp.fdot(x, y) / mp.sqrt(mp.fdot(x, x) * mp.fdot(y, y))
    number = mpf(name[name.index("(") + 1:-1])
    if name.startswith("lp"):
        return mp.fsum(abs(s - t) ** number for s, t in zip(x, y, strict=True)) ** (1 / number)
    square = mp.fsum((s - t) ** 2 for s, t in zip(x, y, strict=True))
    return -2 * mp.expm1(-square / (2 * mpf(float(number)) ** 2))


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("name", NAMES)
def test_a_cost_is_its_definition_to_the_roundings_that_it_states(name: str, scale: float) -> None:
    """Also of points very near each other, or far apart, where powers would underflow."""
    ground, x = as_ground(name), X * scale
    y = np.vstack([Y[:4], X[:3] + 1e-7 * Y[:3]]) * scale
    found = ground.matrix(x, y)
    allowed = ground.roundings(3) * UNIT * ground.sizes(x, y, found)
    with mp.workdps(60):
        for i in range(len(x)):
            for j in range(len(y)):
                exact = exactly(name, x[i], y[j])
                assert abs(exact - mpf(float(found[i, j]))) <= allowed[i, j]
    assert found.max() <= ground.bound(x, y) * (1 + 8 * UNIT)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_their_change_are_central_differences(name: str) -> None:
    """h = 2^-17: the rounding of a difference is some 100 roundings / h = 1e-9, and Taylor's next
    term h^2 times a third derivative of some 100."""
    ground, h = as_ground(name), 2.0**-17
    vx, vy = RNG.normal(size=X.shape), RNG.normal(size=Y.shape)
    for k in range(3):
        step = h * np.eye(3)[k]
        difference = (ground.matrix(X + step, Y) - ground.matrix(X - step, Y)) / (2 * h)
        np.testing.assert_allclose(ground.gradient(X, Y)[:, :, k], difference, atol=1e-7)
    change = (ground.gradient(X + h * vx, Y + h * vy)
              - ground.gradient(X - h * vx, Y - h * vy)) / (2 * h)
    np.testing.assert_allclose(ground.gradient_change(X, Y, vx, vy), change, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_equal_points_cost_nothing_and_have_no_slope(name: str) -> None:
    ground = as_ground(name)
    np.testing.assert_array_equal(np.diag(ground.matrix(X, X)), 0)
    v = np.ones_like(X)
    assert np.isfinite(ground.gradient_change(X, X, v, v)).all()
    slope = np.einsum("iid->id", ground.gradient(X, X.copy()))
    np.testing.assert_allclose(slope, 0, atol=8 * UNIT / abs(X).min())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_solve_is_that_of_its_matrix(name: str, backend: str) -> None:
    C = refot.point_cost(X, Y, name, 2.0)
    found = refot.solve(C, A, B, EPS, tol=1e-12, certified=True, backend=backend)
    F = refot.entropic_value(C.dense(), A, B, EPS, tol=1e-12, backend="numpy")
    assert found.gap is not None
    assert found.gap.lower <= F <= found.gap.upper
    assert found.gap.absolute < 1e-9
    gradient = refot.entropic_value_gradient_points(C, A, B, EPS, solved=found)
    np.testing.assert_allclose(gradient, np.einsum(
        "ij,ijd->id", found.plan(), C.gradient_rows(slice(None))), atol=1e-13)
    sparse = found.sparse_plan(1e-4).toarray()
    np.testing.assert_allclose(sparse, np.where(found.plan() > 1e-4, found.plan(), 0), atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_a_divergence_and_its_gradient_take_the_name(name: str) -> None:
    v, h = RNG.normal(size=X.shape), 2.0**-14
    S = [refot.sinkhorn_divergence(X + t * v, A, Y, B, EPS, name, tol=1e-12) for t in (h, -h)]
    dS = refot.sinkhorn_divergence_gradient(X, A, Y, B, EPS, name)
    assert (S[0] - S[1]) / (2 * h) == pytest.approx((dS * v).sum(), rel=1e-5, abs=1e-7)
    assert abs(refot.sinkhorn_divergence(X, A, X, A, EPS, name)) < 1e-9


def test_the_norms_meet() -> None:
    for name, same in (("lp(1)", "l1"), ("lp(2)", "euclidean")):
        np.testing.assert_allclose(as_ground(name).matrix(X, Y), as_ground(same).matrix(X, Y),
                                   rtol=1e-14)


def test_a_name_with_a_number_tells_all(tmp_path: Any) -> None:
    """So it goes into a file, and names the same cost after it."""
    C = refot.point_cost(X, Y, "lp(2.5)")
    found = refot.solve(C, A, B, EPS)
    again = refot.load_solution(found.save(tmp_path / "lp.npz"))
    assert again.problem.C.ground == C.ground  # type: ignore[union-attr]
    assert again.value() == found.value()
    assert as_ground("lp( 3 )") == as_ground("lp(3.0)")
    assert as_ground("lp(3)") != as_ground("lp(4)")


@pytest.mark.parametrize(("cost", "message"), [
    ("lp", r"^cost: 'lp'; allowed: one of cosine, dot, .*lp\(p\)"),
    ("lp(x)", r"^cost: 'lp\(x\)'"), ("lp(0.5)", r"^p: 0\.5; allowed: a number >= 1"),
    ("lp(nan)", "^p: nan"), ("gaussian(0)", "^h: 0"), ("gaussian(1e-80)", "^h: 1e-80"),
    ("dot(1)", r"^cost: 'dot\(1\)'"), (float, "^cost: <class 'float'>"), (3, "^cost: 3")])
def test_what_is_no_cost_is_refused(cost: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        refot.point_cost(X, Y, cost)


def test_a_point_without_a_direction_has_no_cosine() -> None:
    with pytest.raises(InputError, match=r"^y: a point of length 0 at \[1\]"):
        refot.point_cost(X, np.array([[1.0, 0, 0], [0, 0, 0]]), "cosine")


def test_a_matrix_of_distances_needs_a_difference() -> None:
    with pytest.raises(UnknownNameError, match=r"^cost: 'cosine'; allowed: .*gaussian\(h\), lp"):
        refot.pairwise([X, Y], EPS, "cosine")
    assert refot.pairwise([X, Y], EPS, "lp(3)")[0, 1] == pytest.approx(
        refot.sinkhorn_divergence(X, None, Y, None, EPS, "lp(3)"), rel=1e-6)


# ------------------------------------------------------------------ functions
def root(x: Any, y: Any) -> Any:
    """The root of the distance: concave, and so no cost of a difference that grows evenly."""
    return ((x[:, None, :] - y) ** 2).sum(axis=2) ** 0.25


def lopsided(x: Any, y: Any) -> Any:
    """It costs twice as much to go up as to go down."""
    rise = (y[:, 0] - x[:, None, 0])
    return np.where(rise > 0, 2 * rise, -rise)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("cost", [root, lopsided])
def test_a_function_is_a_cost(cost: Any, backend: str) -> None:
    C = refot.point_cost(X, Y, cost)
    found = refot.solve(C, A, B, EPS, tol=1e-12, certified=True, backend=backend)
    F = refot.entropic_value(cost(X, Y), A, B, EPS, tol=1e-12)
    assert found.value() == pytest.approx(F, rel=1e-12)
    assert found.gap is not None
    assert found.gap.lower <= F <= found.gap.upper
    np.testing.assert_array_equal(C.T.dense(), C.dense().T)
    np.testing.assert_array_equal(C.T.T.dense(), C.dense())
    assert (C.spread(), C.bound()) == (np.ptp(C.dense()), C.dense().max())


def test_a_function_is_called_with_blocks() -> None:
    shapes = []

    def cost(x: Any, y: Any) -> Any:
        shapes.append((len(x), len(y)))
        return root(x, y)

    C = refot.point_cost(np.zeros((5000, 1)), np.ones((1000, 1)), cost)
    assert shapes
    assert max(n * m for n, m in shapes) <= 1 << 20
    assert C.shape == (5000, 1000)


def test_a_symmetric_function_has_a_divergence_and_another_one_says_why_not() -> None:
    S = refot.sinkhorn_divergence(X, A, Y, B, EPS, root)
    costs = root(X, Y), root(X, X), root(Y, Y)
    assert pytest.approx(refot.sinkhorn_divergence_of_costs(*costs, A, B, EPS), rel=1e-9) == S
    by_product = refot.sinkhorn_divergence(X, A, Y, B, EPS, lambda x, y: 1 - x @ y.T)
    dot = refot.sinkhorn_divergence(X, A, Y, B, EPS, "dot")
    assert by_product == pytest.approx(dot, rel=1e-9)
    with pytest.raises(InputError, match=r"^cost: 'lopsided', with c\(x, y\) and c\(y, x\) up to"):
        refot.sinkhorn_divergence(X, A, Y, B, EPS, lopsided)


@pytest.mark.parametrize(("cost", "message"), [
    (lambda x, y: 1.0, r"^cost: a function that returns float; allowed: one that returns an array"),
    (lambda x, y: root(y, x), r"^cost: a function that returns shape \(9, 7\); allowed: \(7, 9\)"),
    (lambda x, y: root(x, y) * 1j, "^cost: a function that returns ndarray"),
    (lambda x, y: np.full((7, 9), np.inf), "finite costs; for forbidden pairs a matrix with inf"),
    (lambda x, y: np.full((7, 9), np.nan), r"nan at \[0, 0\]")])
def test_what_a_function_returns_is_checked(cost: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        refot.point_cost(X, Y, cost)


def test_a_function_has_no_gradient_and_goes_into_no_file(tmp_path: Any) -> None:
    C = refot.point_cost(X, Y, root)
    with pytest.raises(InputError, match=r"^cost: the function 'root', of which no gradient"):
        refot.entropic_value_gradient_points(C, A, B, EPS)
    with pytest.raises(InputError, match=r"^C: the cost 'root' of your own"):
        refot.solve(C, A, B, EPS).save(tmp_path / "root.npz")


@pytest.mark.peers
def test_torch_takes_a_name_and_no_function() -> None:
    torch = pytest.importorskip("torch")
    import refot.torch as losses

    x = torch.tensor(X, requires_grad=True)
    loss = losses.sinkhorn_divergence(x, torch.tensor(Y), eps=EPS, cost="lp(3)")
    loss.backward()
    uniform = np.full(7, 1 / 7)
    np.testing.assert_allclose(x.grad, refot.sinkhorn_divergence_gradient(
        X, uniform, Y, None, EPS, "lp(3)"), atol=1e-9)
    with pytest.raises(UnknownNameError, match=r"^cost: <function root"):
        losses.SinkhornDivergence(EPS, root)  # type: ignore[arg-type]
