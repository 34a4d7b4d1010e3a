"""What a result answers: the plan's own numbers, without the plan, and no word of a solve that did
not converge without saying so."""

from __future__ import annotations

import dataclasses
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refot
from refot.plans import round_to_marginals

N, M = 9, 7
RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(N, 2)), RNG.normal(size=(M, 2)) + 0.5
A, B = (w / w.sum() for w in (RNG.random(N) + 0.1, RNG.random(M) + 0.1))
EPS = 0.3
C = refot.point_cost(X, Y)


def solved(backend: str = "numpy", **options: Any) -> refot.SinkhornResult:
    return refot.solve(C, A, B, EPS, tol=1e-12, backend=backend, **options)


def short(**options: Any) -> refot.SinkhornResult:
    """A solve that was not allowed to get there."""
    with pytest.warns(refot.ConvergenceWarning):
        return refot.solve(C, A, B, EPS, max_iter=1, method="sinkhorn", **options)


# ------------------------------------------------------------------ the plan and what is of it
def test_everything_is_that_of_the_plan(backend: str) -> None:
    """Each is a sum over P of about 10 entries: right to a few roundings of its size."""
    found = solved(backend)
    P, dense = found.plan(), C.dense()
    assert np.allclose(P, refot.plan(found.f, found.g, C, A, B, EPS), rtol=1e-13)
    V, U = RNG.normal(size=(M, 3)), RNG.normal(size=N)
    assert np.allclose(found.apply(V), P @ V, rtol=1e-12, atol=1e-15)
    assert np.allclose(found.apply(V[:, 0]), P @ V[:, 0], rtol=1e-12, atol=1e-15)
    assert np.allclose(found.apply_transpose(U), P.T @ U, rtol=1e-12, atol=1e-15)
    assert found.transport_cost() == pytest.approx((P * dense).sum(), rel=1e-13)
    assert found.value() == pytest.approx(
        refot.primal(round_to_marginals(P, A, B), dense, A, B, EPS), rel=1e-11)
    assert np.allclose(found.barycentric_map(), P @ Y / A[:, None], rtol=1e-11)
    assert np.allclose(found.barycentric_map(V[:, 0]), P @ V[:, 0] / A, rtol=1e-9, atol=1e-12)
    assert found.matching().tolist() == P.argmax(axis=1).tolist()
    gap = found.certificate()
    assert gap.lower <= found.value() + 1e-15
    assert gap.lower <= refot.entropic_value(C, A, B, EPS, tol=1e-13) <= gap.upper


def test_the_sparse_plan_holds_what_is_above_least(backend: str) -> None:
    found = solved(backend)
    P = found.plan()
    sparse = found.sparse_plan(1e-3)
    assert sparse.shape == (N, M)
    assert np.allclose(sparse.toarray(), np.where(P > 1e-3, P, 0), rtol=1e-12)
    assert 0 < sparse.nnz < N * M


def test_the_sparse_plan_keeps_to_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOT_MEMORY", "100")
    with pytest.raises(refot.InputError, match="more than 8 entries"):
        solved_before.sparse_plan(1e-9)


solved_before = solved()


def test_the_map_out_of_sample_continues_that_of_the_sample(backend: str) -> None:
    """At the points of the sample it is the barycentric map; between them it is smooth."""
    found = solved(backend)
    assert np.allclose(found.transform(X), found.barycentric_map(), rtol=1e-9)
    step = 1e-6
    moved = found.transform(X + np.array([step, 0.0]))
    # the derivative is a covariance of points y over eps, at most (range of y)^2 / eps times 2
    bound = 2 * step * np.ptp(Y, axis=0).max() ** 2 / EPS
    assert abs(moved - found.transform(X)).max() <= 2 * bound
    assert found.transform(np.zeros((1, 2))).shape == (1, 2)


def test_the_map_of_equal_measures_at_small_eps_is_the_identity() -> None:
    found = refot.solve(refot.point_cost(X, X), A, A, 1e-3, tol=1e-12)
    assert np.allclose(found.transform(X), X, atol=1e-6)


def test_a_point_without_mass_has_an_image() -> None:
    a = A.copy()
    a[2] = 0
    found = refot.solve(C, a / a.sum(), B, EPS, tol=1e-12)
    image = found.barycentric_map()
    assert np.isfinite(image).all()
    assert np.allclose(image[2], found.transform(X[2:3])[0], rtol=1e-6)


def test_a_matrix_has_no_points() -> None:
    found = refot.solve(C.dense(), A, B, EPS)
    with pytest.raises(refot.InputError, match="cost of points"):
        found.transform(X)
    with pytest.raises(refot.InputError, match="the cost is a matrix"):
        found.barycentric_map()
    assert np.allclose(found.barycentric_map(Y), solved_before.barycentric_map(), rtol=1e-6)


@pytest.mark.parametrize(("call", "message"), [
    (lambda r: r.apply(np.ones(3)), r"V: shape \(3,\)"),
    (lambda r: r.apply("abc"), "V: "),
    (lambda r: r.sparse_plan(0), "least: 0"),
    (lambda r: r.transform(np.ones((2, 3))), "x_new: dimension 3"),
    (lambda r: r.transform([[np.nan, 0]]), "x_new: nan"),
    (lambda r: r.sample(0, 1), "k: 0"),
    (lambda r: r.sample(1, None), "rng: None"),
    (lambda r: r.sample(1, -1), "rng: -1"),
    (lambda r: r.barycentric_map(np.ones(3)), r"y: shape \(3,\)"),
])
def test_what_is_wrong_is_named(call: Any, message: str) -> None:
    with pytest.raises(refot.InputError, match=message):
        call(solved_before)


# ------------------------------------------------------------------ drawn pairs
def test_pairs_are_drawn_from_the_plan(backend: str) -> None:
    """Each count is binomial: 5 standard deviations are met by chance once in a million."""
    found, k = solved(backend), 200_000
    i, j = found.sample(k, np.random.default_rng(0))
    counts, P = np.zeros((N, M)), found.plan()
    np.add.at(counts, (i, j), 1)
    assert (abs(counts - k * P) <= 5 * np.sqrt(k * P) + 5).all()
    again = found.sample(k, 0)
    assert np.array_equal(again[0], i)
    assert np.array_equal(again[1], j)
    assert not np.array_equal(np.sort(i), i), "in no order"


def test_no_pair_without_mass_is_drawn() -> None:
    matrix = C.dense()
    matrix[:, 3] = np.where(np.arange(N) == 4, matrix[:, 3], np.inf)
    b = np.full(M, 1 / M)
    b[0], b[1] = 0, 2 / M
    a = np.full(N, 1 / (2 * N))
    a[4] += 0.5
    found = refot.solve(matrix, a, b, EPS)
    i, j = found.sample(20_000, 1)
    assert not (j == 0).any()
    assert set(i[j == 3]) == {4}


# ------------------------------------------------------------------ what did not converge
@pytest.mark.parametrize("what", ["value", "transport_cost", "barycentric_map", "matching"])
def test_what_did_not_converge_says_so(what: str) -> None:
    found = short()
    with pytest.warns(refot.ConvergenceWarning, match=f"{what} of a solve that did not converge: "
                                                      "marginal error") as told:
        getattr(found, what)()
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(solved_before, what)()


def test_the_forms_for_the_eye_say_first_whether_it_converged() -> None:
    good, bad = solved_before, short()
    assert repr(good).startswith("SinkhornResult(converged yes, stopped by tolerance, ")
    assert f"{N} x {M}" in repr(good)
    assert "converged NO: allow more max_iter" in repr(bad)
    assert "<strong>NO: " in bad._repr_html_()
    assert "<strong>" not in good._repr_html_()
    assert "NOT converged" in bad.plot().axes[0].get_title()
    assert "NOT" not in good.plot().axes[0].get_title()


def test_the_picture_shows_the_masses(monkeypatch: pytest.MonkeyPatch) -> None:
    from refot.solvers.answers import report

    shown = solved_before.plot().axes[0].images[0].get_array()
    assert np.allclose(shown, solved_before.plan(), rtol=1e-12)
    monkeypatch.setattr(report, "BINS", 4)
    binned = solved_before.plot().axes[0].images[0].get_array()
    assert binned.shape == (4, 4)
    assert binned.sum() == pytest.approx(1, rel=1e-12)
    assert binned[0, 0] == pytest.approx(solved_before.plan()[:3, :2].sum(), rel=1e-12)


# ------------------------------------------------------------------ files
COSTS: dict[str, Any] = {
    "points": C, "matrix": C.dense(), "scaled": refot.point_cost(X, Y, "euclidean", 0.5),
    "float32": refot.point_cost(X.astype(np.float32), Y.astype(np.float32)),
    "forbidden": np.where(np.arange(N * M).reshape(N, M) == 5, np.inf, C.dense()),
}


@pytest.mark.parametrize("cost", COSTS)
def test_a_solution_comes_back_from_its_file(cost: str, tmp_path: Path, backend: str) -> None:
    found = refot.solve(COSTS[cost], A, B, EPS, backend=backend)
    path = found.save(tmp_path / "solution.npz")
    again = refot.load_solution(path, backend=backend)
    assert np.array_equal(again.f, found.f)
    assert np.array_equal(again.g, found.g)
    assert again.f.dtype == found.f.dtype
    assert (again.converged, again.errors, again.stopped_by, again.tolerance) == (
        found.converged, found.errors, found.stopped_by, found.tolerance)
    assert again.value() == found.value()
    assert type(again.problem.C) is type(found.problem.C)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_did_not_converge_does_not_claim_to(tmp_path: Path) -> None:
    path = tmp_path / "solution.npz"
    short().save(path)
    assert not refot.load_solution(path).converged
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "stopped_by": np.array("tolerance")})
    assert not refot.load_solution(path).converged, "the errors are evaluated anew"


def test_a_certified_solution_keeps_its_gap(tmp_path: Path) -> None:
    found = refot.solve(C, A, B, EPS, method="sinkhorn", tol=1e-30, gap=1e-3)
    assert found.stopped_by == "gap"
    again = refot.load_solution(found.save(tmp_path / "solution.npz"))
    assert again.gap == found.gap
    assert again.converged


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "solution.npz"
    with pytest.raises(refot.InputError, match="path: "):
        refot.load_solution(path)
    path.write_bytes(b"no archive")
    with pytest.raises(refot.InputError, match="not a whole archive"):
        refot.load_solution(path)
    with pytest.raises(refot.InputError, match="path"):
        refot.load_solution(3)  # type: ignore[arg-type]
    with pytest.raises(refot.InputError, match="a folder that exists"):
        solved_before.save(tmp_path / "nowhere" / "solution.npz")
    solved_before.save(path)
    arrays = dict(np.load(path))
    for name, value, message in [
            ("g", np.full(M, np.nan), "g: nan"), ("version", np.array(7), "layout 7"),
            ("a", np.ones(N), "a: sum"), ("stopped_by", np.array("luck"), "stopped_by: 'luck'"),
            ("f", np.zeros(3), r"f: shape \(3,\)"), ("eps", np.array(-1.0), "eps: -1"),
            ("cost", np.array("mine"), "cost: 'mine'"), ("f", np.array([None] * N), "path: ")]:
        np.savez(path, allow_pickle=True, **{**arrays, name: value})
        with pytest.raises(refot.InputError, match=message):
            refot.load_solution(path)
    np.savez(path, **{name: value for name, value in arrays.items() if name != "b"})
    with pytest.raises(refot.InputError, match="no 'b' in it"):
        refot.load_solution(path)


def test_a_cost_of_ones_own_has_no_name_in_a_file(tmp_path: Path) -> None:
    own = refot.PointCost(X, Y, dataclasses.replace(C.ground, name="mine"))
    with pytest.raises(refot.InputError, match="'mine' of your own"):
        refot.solve(own, A, B, EPS).save(tmp_path / "solution.npz")


def test_a_result_survives_pickling_with_its_problem() -> None:
    again = pickle.loads(pickle.dumps(solved_before))
    assert again.value() == solved_before.value()
    assert np.array_equal(again.transform(X[:1]), solved_before.transform(X[:1]))


def test_results_are_equal_where_they_are_one() -> None:
    """Comparing arrays entry by entry would raise an error; and a result can be a key."""
    first, second = (refot.solve(np.eye(3), None, None, 1.0) for _ in range(2))
    assert [first] == [first]
    assert first != second
    assert {first: 1}[first] == 1
