"""Many problems in one call: the answers of single solves, each with its own stop, and told so."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import refot
from refot.backend_contract import BatchSolver, get_backend
from refot.solvers.accuracy import accuracy, atom_tolerance

RNG = np.random.default_rng(16)
TOL = 1e-9


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    a = rng.random(shape) + 0.01
    return a / a.sum(axis=-1, keepdims=True)


def stack(number: int, n: int, m: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Costs between clouds in the plane, and weights."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(number, n, 1, 2)), rng.normal(size=(number, 1, m, 2)) + 1
    return ((x - y) ** 2).sum(axis=-1), weights(rng, number, n), weights(rng, number, m)


def assert_right(found: refot.BatchResult, tol: float = TOL) -> None:
    """What it says of each problem is so: the errors, whether they are small enough, and F."""
    for k, single in enumerate(found):
        p = single.problem
        f, g = (np.asarray(z, np.float64) for z in (single.f, single.g))
        again = accuracy(p, f, g)
        unit = float(np.finfo(np.float64).eps)
        # an exponent is rounded to a few units of its parts; sums of up to 100 terms besides
        sizes = (abs(f).max() + abs(g).max() + abs(p.costs_with_mass.dense()).max(
            where=np.isfinite(p.costs_with_mass.dense()), initial=0)) / p.eps
        rounding = unit * (8 * sizes + 200)
        assert abs(again.marginal_error - single.marginal_error) <= rounding
        assert abs(again.atom_error - single.atom_error) <= rounding + 1e-6 * again.atom_error
        assert single.converged == (single.marginal_error <= tol
                                    and single.atom_error <= atom_tolerance(tol)), k


CASES: dict[str, Any] = {
    "easy": lambda C, a, b: (C, a, b, 0.1),
    "each its own eps": lambda C, a, b: (C, a, b, C.max(axis=(1, 2)) * [0.1, 0.02, 1.0, 0.01, 3.0]),
    "weights of 0": lambda C, a, b: (C, without_mass(a, 1), without_mass(b, 2), 0.1),
    "light atoms": lambda C, a, b: (C, light(a), light(b), 0.1),
    "a far point without mass": lambda C, a, b: (far(C), without_mass(a, 0), b, 0.1),
    "forbidden pairs": lambda C, a, b: (forbidden(C), a, b, 0.2),
    "an offset": lambda C, a, b: (C + 1e4, a, b, 0.1),
    "negative costs": lambda C, a, b: (-C, a, b, 0.1),
    "small eps": lambda C, a, b: (C, a, b, 2e-3),
    "eps tiny": lambda C, a, b: (C, a, b, 1e-5),
    "eps huge": lambda C, a, b: (C, a, b, 1e6),
}


def without_mass(a: np.ndarray, i: int) -> np.ndarray:
    a = a.copy()
    a[:, i] = 0
    return a / a.sum(axis=1, keepdims=True)


def light(a: np.ndarray) -> np.ndarray:
    a = without_mass(a, 0)
    a[:, 0] = 1e-200
    return a


def far(C: np.ndarray) -> np.ndarray:
    C = C.copy()
    C[:, 0] += 1e8
    return C


def forbidden(C: np.ndarray) -> np.ndarray:
    C = C.copy()
    C[:, 2, :4] = np.inf
    return C


@pytest.mark.parametrize("case", CASES)
def test_the_answers_are_those_of_single_solves(case: str, backend: str) -> None:
    """F of each is in the interval that is certified from the single solve, but for the rounding of
    the value; and what is told of the potentials is so."""
    C, a, b, eps = CASES[case](*stack(5, 7, 6))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = refot.solve_batch(C, a, b, eps, backend=backend)
    assert_right(found)
    assert len(told) == (0 if found.converged.all() else 1)
    for k in range(5):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            single = refot.solve(C[k], a[k], b[k], found.problems.eps[k], certified=True)
        assert bool(found.converged[k]) == single.converged
        if not single.converged:  # both say so; there is no plan, or no tolerance, to compare at
            continue
        size = max(abs(single.gap.lower), float(abs(found.f[k][a[k] > 0]).max()),
                   float(abs(found.g[k][b[k] > 0]).max()))
        rounding = 64 * 2.0**-52 * size
        # the semi-dual misses F by about (largest potential) * (marginal error), at most
        assert single.gap.lower - TOL * size - rounding <= found.value[k]
        assert found.value[k] <= single.gap.upper + rounding


def test_sweeps_alone_solve_what_they_are_for(backend: str) -> None:
    """Without the solver of single problems: else the tests above would say nothing of them."""
    from refot.batches.batch import batch
    from refot.batches.solve import _swept

    C, a, b = stack(40, 20, 30)
    problems = batch(C, a, b, 0.02 * C.max(axis=(1, 2)), backend)
    _, _, iterations, arrived, errors = _swept(problems, np.zeros(40 * 30), TOL, 1_000)
    assert arrived.all()
    assert (errors[:, 0] <= TOL).all()
    assert len(set(iterations.tolist())) > 3, "each problem stops when it has arrived"


@pytest.mark.parametrize("relative_eps", [0.02, 0.1])
def test_the_compiled_sweeps_are_those_in_arrays(relative_eps: float) -> None:
    """Sums are added in another order; so a problem may take another sweep, and not many."""
    C, a, b = stack(30, 12, 17)
    eps = relative_eps * C.max(axis=(1, 2))
    one, other = (refot.solve_batch(C, a, b, eps, backend=name) for name in ("numpy", "numba"))
    assert abs(one.iterations - other.iterations).max() <= 4
    assert abs(one.value - other.value).max() <= 1e-12 * abs(one.value).max()


def test_a_fast_rate_is_used_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """With FAST = 0 the first errors are not looked at. Where the rate is 0.1 to 0.4 that costs a
    sweep or two; where it is slow it makes no difference."""
    from refot.batches import stacked

    C, a, b = stack(30, 40, 40)

    def sweeps(part: float) -> np.ndarray:
        return refot.solve_batch(C, a, b, part * C.max(axis=(1, 2)), backend="numpy").iterations

    early, slow = sweeps(0.1), sweeps(0.003)
    monkeypatch.setattr(stacked, "FAST", 0.0)
    assert early.mean() <= sweeps(0.1).mean() - 1
    assert abs(slow - sweeps(0.003)).max() <= 0.1 * slow.max()


@pytest.mark.parametrize("level", [3.0, 1e3, -1e3, 1e6])
def test_a_level_of_the_costs_is_that_of_the_value(backend: str, level: float) -> None:
    """Beyond 200 eps the kernel of the costs as they are would be 0, or infinite."""
    C, a, b = stack(5, 12, 17)
    plain, moved = (refot.solve_batch(costs, a, b, 0.5, tol=1e-9, backend=backend)
                    for costs in (C, C + level))
    assert moved.converged.all()
    assert abs(moved.iterations - plain.iterations).max() <= 2
    rounding = 16 * 2.0**-53 * abs(level)  # of the costs, and of potentials of their size
    assert abs(moved.value - level - plain.value).max() <= 1e-9 * abs(plain.value).max() + rounding


def test_both_forms_of_the_sweeps_have_the_same_constants() -> None:
    """A backend knows nothing of `refot.batches`, and so has constants of its own."""
    from refot.backends.numba.batches import solve, sweeps
    from refot.batches import stacked

    for name in ("LARGEST", "WINDOW", "HISTORY", "MOST_RELAXED", "LOWER_AFTER", "LOWERED", "NEAR",
                 "PATIENCE", "EARLY", "FAST"):
        assert getattr(stacked, name) == getattr(sweeps, name)
    assert stacked.DIRECT == solve.DIRECT


def test_compiled_sweeps_absorb_where_floats_cannot_tell() -> None:
    """At this eps exp(-C / eps) is 0 off the diagonal, and the best potentials are far from 0."""
    on = get_backend("numba")
    assert isinstance(on, BatchSolver)
    n = 9
    x = np.arange(n, dtype=float)
    C = (x[:, None] - x[::-1]) ** 2  # from the start the columns are far from all rows but one
    a = weights(np.random.default_rng(3), n)
    sizes = np.array([[n, n, 0, 0, 0]])
    f, g, _, arrived, errors = on.solve_batch(C.ravel(), sizes, a, a[::-1].copy(),
                                              np.array([1e-3]), np.zeros(n), TOL,
                                              atom_tolerance(TOL), 1000)
    assert arrived.all()
    assert errors[0, 0] <= TOL
    assert refot.marginal_error(f, g, C, a, a[::-1], 1e-3) <= 2 * TOL


# ------------------------------------------------------------------ every layout
def test_every_layout_means_the_same(backend: str) -> None:
    C, a, b = stack(4, 5, 6)
    eps = np.full(4, 0.3)
    whole = refot.solve_batch(C, a, b, eps, backend=backend)
    others = [
        refot.solve_batch(list(C), list(a), list(b), list(eps), backend=backend),
        refot.solve_batch(C.tolist(), a.tolist(), b.tolist(), 0.3, backend=backend),
        refot.solve_batch([refot.DenseCost(c) for c in C], a, b, 0.3, backend=backend),
        refot.solve_batch(np.asfortranarray(C), a[:, ::-1][:, ::-1], b, 0.3, backend=backend),
        refot.solve_batch(np.ma.masked_array(C, np.zeros_like(C, bool)), a, b, 0.3,
                          backend=backend),
    ]
    for other in others:
        assert np.array_equal(whole.f, other.f)
        assert np.array_equal(whole.g, other.g)
        assert np.array_equal(whole.value, other.value)


def test_one_cost_for_all(backend: str) -> None:
    """exp(-C / eps) is formed once; the answers are those of the cost repeated, to the tolerance.
    """
    C, a, b = stack(6, 8, 9)
    repeated = np.repeat(C[:1], 6, axis=0)
    for eps in (0.2, 0.2 + 0.1 * np.arange(6), 1e-3):
        shared = refot.solve_batch(C[0], a, b, eps, backend=backend)
        each = refot.solve_batch(repeated, a, b, eps, backend=backend)
        assert shared.problems.shared
        assert abs(shared.value - each.value).max() <= 1e-9 * abs(each.value).max()
        assert_right(shared)
    x, y = RNG.normal(size=(2, 8, 2))
    of_points = refot.solve_batch(refot.point_cost(x, y), a, None, 0.2, backend=backend)
    assert len(of_points) == 6
    assert isinstance(of_points[3].problem.C, refot.PointCost)


def test_ragged_clouds(backend: str) -> None:
    """Of any sizes, one point among them; the results are in the caller's order."""
    rng = np.random.default_rng(1)
    sizes = [(1, 1), (1, 7), (9, 1), (8, 8), (9, 17), (8, 8), (33, 5)]
    clouds = [(rng.normal(size=(n, 2)), rng.normal(size=(m, 2))) for n, m in sizes]
    C = [refot.point_cost(x, y) for x, y in clouds]
    a, b = ([weights(rng, len(cloud)) for cloud in side] for side in zip(*clouds, strict=True))
    found = refot.solve_batch(C, a, b, 0.5, backend=backend)
    assert_right(found)
    assert [len(f) for f in found.f] == [n for n, _ in sizes]
    for k, single in enumerate(found):
        assert found.value[k] == pytest.approx(
            refot.entropic_value(C[k], a[k], b[k], 0.5), rel=1e-12)
        assert single.problem.C is found.problems.operands[k]
    uniform = refot.solve_batch(C, None, None, 0.5, backend=backend)
    assert all(np.allclose(uniform[k].problem.a, 1 / n) for k, (n, _) in enumerate(sizes))


def test_a_batch_of_one_and_vectors_for_all(backend: str) -> None:
    C, a, b = stack(3, 4, 5)
    one = refot.solve_batch(C[0], a[0], b[0], 0.5, backend=backend)
    assert (len(one), one.f.shape, one.g.shape) == (1, (1, 4), (1, 5))
    found = refot.solve_batch(C, a[0], b[0], 0.5, backend=backend)
    assert np.array_equal(found.value[:1], one.value)
    assert np.array_equal(found[2].problem.a, found[0].problem.a)


def test_float32(backend: str) -> None:
    """To the default tolerance of float32, or said so: rounding of the potentials is what limits
    them, u (|f| + |g| + |C|) / eps."""
    C, a, b = (part.astype(np.float32) for part in stack(6, 20, 20))
    found = refot.solve_batch(C, a, b, 1.0, backend=backend)
    assert found.f.dtype == found.g.dtype == np.float32
    assert found.converged.all()
    assert found.tolerance == 1e-5
    with pytest.warns(refot.ConvergenceWarning, match="6 of 6 problems .* stopped by rounding"):
        short = refot.solve_batch(C, a, b, 1.0, tol=1e-9, backend=backend)
    assert set(short.stopped_by) == {"rounding"}
    assert not short.converged.any()
    f, g, C, a, b = (part.astype(float) for part in (short.f, short.g, C, a, b))
    P = a[:, :, None] * b[:, None] * np.exp(f[:, :, None] + g[:, None] - C)
    error = abs(P.sum(axis=2) - a).sum(axis=1) + abs(P.sum(axis=1) - b).sum(axis=1)
    # a sum of 20 entries in float32 is right to 20 roundings of its size; there are 40 of them, of
    # mass 2 in all
    assert abs(short.marginal_error - error).max() <= 2 * 20 * 2.0**-24


# ------------------------------------------------------------------ stops
def test_each_problem_has_its_own_stop(backend: str) -> None:
    """One that no plan solves, one that rounding keeps from tol, and one that is solved."""
    C = np.tile(np.array([[0.0, 1.0], [1.0, 0.0]]), (3, 1, 1))
    C[1, 0, 1] = np.inf
    C[2] += 1e6
    a = np.array([[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])
    b = np.array([[0.5, 0.5], [0.5, 0.5], [0.6, 0.4]])
    with pytest.warns(refot.ConvergenceWarning) as told:
        found = refot.solve_batch(C, a, b, [1.0, 1.0, 1e-2], tol=1e-12, backend=backend)
    assert found.converged.tolist() == [True, False, False]
    assert found.stopped_by[0] == "tolerance"
    assert found[1].infeasible.startswith("no plan avoids the forbidden pairs")
    assert found.stopped_by[2] == "rounding"
    assert len(told) == 1
    text = str(told[0].message)
    assert "2 of 3 problems are short of tol 1e-12 (problems 1, 2)" in text
    assert "1 stopped by rounding" in text
    assert told[0].filename == __file__


def test_max_iter_counts_for_each(backend: str) -> None:
    C, a, b = stack(4, 10, 10)
    with pytest.warns(refot.ConvergenceWarning, match="4 of 4 problems"):
        found = refot.solve_batch(C, a, b, 0.05, max_iter=3, backend=backend)
    assert set(found.stopped_by) == {"max_iter"}
    assert found.iterations.tolist() == [3] * 4
    assert_right(found)


def test_a_warm_start_saves_sweeps(backend: str) -> None:
    C, a, b = stack(5, 12, 12)
    cold = refot.solve_batch(C, a, b, 0.1, backend=backend)
    for start in ({"g": cold.g}, {"f": cold.f}, {"g": list(cold.g + 7.0)}):
        warm = refot.solve_batch(C, a, b, 0.1, backend=backend, **start)
        assert (warm.iterations <= 3).all()
        assert_right(warm)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        hard = refot.solve_batch(C, a, b, 1e-4, g=cold.g, backend=backend)
    assert_right(hard)


def test_the_gap_of_each(backend: str) -> None:
    C, a, b = stack(3, 6, 6)
    found = refot.solve_batch(C, a, b, 0.1, certified=True, backend=backend)
    for k, gap in enumerate(found.gap):
        assert gap.lower <= refot.entropic_value(C[k], a[k], b[k], 0.1, tol=1e-12) <= gap.upper
        assert found[k].gap == gap
    assert refot.solve_batch(C, a, b, 0.1, backend=backend).gap is None


# ------------------------------------------------------------------ what is refused
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a weight": ({"a": [[0.5, 0.5], [0.5, 0.4], [0.5, 0.5]]}, r"a\[1\]: sum 0.9"),
    "a negative weight": ({"b": [[0.5, 0.5], [0.5, 0.5], [1.5, -0.5]]}, r"b\[2\]: -0.5 at \[1\]"),
    "one vector": ({"a": [0.5, 0.4]}, r"a: sum 0.9"),
    "a length": ({"a": [[1.0], [0.5, 0.5], [0.5, 0.5]]}, r"a\[0\]: shape \(1,\)"),
    "a number of problems": ({"a": np.full((2, 2), 0.5)}, "a: for 2 problems; allowed: for 3"),
    "another number": ({"eps": [1.0, 2.0]}, "eps: for 2 problems; allowed: for 3"),
    "an eps": ({"eps": [1.0, -1.0, 1.0]}, r"eps\[1\]: -1.0"),
    "NaN": ({"C": np.where(np.arange(12).reshape(3, 2, 2) == 7, np.nan, 1.0)},
            r"C: nan at \[1, 1, 1\]"),
    "NaN of a list": ({"C": [np.ones((2, 2)), np.full((2, 2), np.nan), np.ones((2, 2))]},
                      r"C\[1\]: nan at \[0, 0\]"),
    "no partner": ({"C": np.where(np.arange(12).reshape(3, 2, 2) >= 10, np.inf, 1.0)},
                   r"C\[2\]: row 1 has no allowed pair left"),
    "f and g": ({"f": np.zeros((3, 2)), "g": np.zeros((3, 2))}, "f: given beside g"),
    "a start": ({"g": np.full((3, 2), np.nan)}, r"g\[0\]"),
    "no problem": ({"C": np.zeros((0, 2, 2))}, "C: shape"),
    "an axis": ({"C": np.zeros(3)}, "C: shape"),
    "pairs of clouds": ({"C": [(np.ones((2, 1)), np.ones((3, 1)))]}, r"C: a list of tuples; .*"
                        r"refot\.point_cost\(x, y\)"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_named(what: str) -> None:
    changed, message = WRONG[what]
    right = {"C": np.ones((3, 2, 2)), "a": None, "b": None, "eps": 1.0}
    with pytest.raises(refot.InputError, match=message):
        refot.solve_batch(**{**right, **changed})


def test_an_index_beyond_the_batch() -> None:
    found = refot.solve_batch(np.ones((3, 2, 2)), None, None, 1.0)
    assert found[-1].marginal_error == found[2].marginal_error
    with pytest.raises(IndexError, match="problem 3 of 3"):
        found[3]


def test_its_text_is_a_line() -> None:
    text = repr(refot.solve_batch(np.ones((3, 2, 2)), None, None, 1.0, backend="numpy"))
    assert text.startswith("BatchResult(3 problems, 3 converged, iterations 1 to 1, ")
    assert text.endswith("(tol 1e-09), backend numpy)")


# ------------------------------------------------------------------ all pairs
def test_pairwise_is_the_divergence_of_each_pair(backend: str) -> None:
    rng = np.random.default_rng(5)
    laws = [refot.measure(rng.normal(size=(n, 2)), weights(rng, n)) for n in (5, 8, 1, 9)]
    S = refot.pairwise([laws[0], (laws[1].points, laws[1].weights), laws[2].points, laws[3]], 0.3,
                       "euclidean", backend=backend)
    assert np.array_equal(S, S.T)
    assert not S.diagonal().any()
    for k in range(4):
        for l in range(k):
            one = refot.sinkhorn_divergence(laws[k].points, laws[k].weights, laws[l].points,
                                            laws[l].weights, 0.3, "euclidean")
            assert S[k, l] == pytest.approx(one, abs=1e-9)  # tol times potentials of size 1


def test_pairwise_solves_a_self_term_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from refot.batches import pairwise as module

    asked: list[int] = []
    solve = module.self_solution

    def counted(p: Any, *others: Any) -> Any:
        asked.append(len(p.a))
        return solve(p, *others)

    monkeypatch.setattr(module, "self_solution", counted)
    clouds = [RNG.normal(size=(n, 2)) for n in (3, 4, 5)]
    monkeypatch.setattr(module, "TOGETHER", 20)  # in several blocks
    refot.pairwise(clouds, 0.5)
    assert asked == [3, 4, 5]


def test_pairwise_tells_of_what_is_short() -> None:
    clouds = [RNG.normal(size=(6, 2)) for _ in range(3)]
    with pytest.warns(refot.ConvergenceWarning, match="6 of 6 solves are short of tol 1e-18"):
        refot.pairwise(clouds, 0.5, tol=1e-18)
    for wrong in (np.zeros((3, 2)), [], clouds[0].tolist()[0]):
        with pytest.raises(refot.InputError, match="measures"):
            refot.pairwise(wrong, 0.5)
    with pytest.raises(refot.InputError, match=r"measures\[1\]: dimension 1"):
        refot.pairwise([clouds[0], clouds[1][:, :1]], 0.5)
    with pytest.raises(refot.InputError, match=r"measures\[1\]: weights"):
        refot.pairwise([clouds[0], (clouds[1], np.ones(6))], 0.5)
