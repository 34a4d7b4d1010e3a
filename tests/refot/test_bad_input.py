"""Bad input: each kind raises an InputError that names the argument, what was found and what is
allowed, before any work: the backend of these tests fails when it is asked to compute."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

import refot
from refot import InputError, printed
from refot.arrays import ShapeError, TypeInputError, UnknownNameError, WeightError
from refot.backends.numpy.backend import NumpyBackend

X, Y = np.array([[0.0, 1.0], [2.0, 0.5], [1.0, 1.0]]), np.array([[0.0, 0.0], [1.0, 2.0]])
C = np.array([[1.0, 2.0], [0.5, 0.0], [3.0, 1.0]])
A, B = np.array([0.5, 0.25, 0.25]), np.array([0.75, 0.25])
F, G = np.zeros(3), np.zeros(2)
P, Q = np.outer(A, B), np.zeros((3, 2))
NAN, INF = np.nan, np.inf


def with_entry(array, value, *index):
    """A copy with one entry replaced, by default the last one."""
    changed = np.array(array)
    changed[index or (-1,) * changed.ndim] = value
    return changed


class Idle(NumpyBackend):
    """A backend that only moves arrays: a check that lets bad input through is found out."""


def refuse(*_arguments, **_options):
    raise AssertionError("work began before the arguments were checked")


for operation in vars(NumpyBackend):
    if not operation.startswith("_") and operation not in (
            "name", "xp", "asarray", "to_numpy", "synchronize"):
        setattr(Idle, operation, refuse)

solve = partial(refot.solve, C, A, B, 1.0)
value_of = partial(refot.entropic_value, C)


def case(identity, name, call, kind=InputError):
    """One kind of bad input: what is wrong, the argument at fault, the call, the error class."""
    return pytest.param(name, call, kind, id=identity)


COSTS = [
    case("NaN in a cost matrix", "C", lambda: refot.solve(with_entry(C, NAN), A, B, 1.0)),
    case("cost of -inf", "C", lambda: refot.solve(with_entry(C, -INF), A, B, 1.0)),
    case("no allowed pair in a row", "C",
         lambda: refot.solve(np.where(np.arange(3)[:, None] == 1, INF, C), A, B, 1.0)),
    case("NaN in a cost operand", "C",
         lambda: refot.solve(refot.DenseCost(with_entry(C, NAN)), A, B, 1.0)),
    case("cost matrix with one axis", "C", lambda: refot.solve(C[0], A, B, 1.0), ShapeError),
    case("cost matrix with three axes", "C", lambda: refot.solve(C[None], A, B, 1.0), ShapeError),
    case("no rows", "C", lambda: refot.solve(C[:0], A[:0], B, 1.0), ShapeError),
    case("no columns", "C", lambda: refot.solve(C[:, :0], A, B[:0], 1.0), ShapeError),
    case("cost matrix of objects", "C", lambda: refot.solve(C.astype(object), A, B, 1.0),
         TypeInputError),
    case("complex cost", "C", lambda: refot.solve(C + 0j, A, B, 1.0), TypeInputError),
    case("cost matrix of strings", "C", lambda: refot.solve(C.astype(str), A, B, 1.0),
         TypeInputError),
    case("cost of long doubles", "C", lambda: refot.solve(C.astype(np.longdouble), A, B, 1.0),
         TypeInputError),
    case("ragged cost", "C", lambda: refot.solve([[1.0], [1.0, 2.0]], A, B, 1.0), TypeInputError),
    case("cost None", "C", lambda: refot.solve(None, A, B, 1.0), TypeInputError),
    case("plan that does not fit its cost", "P", lambda: refot.transport_cost(P, X @ X.T),
         ShapeError),
    case("asymmetric self cost", "C", lambda: refot.sinkhorn_symmetric(C[:2], B, 1.0)),
    case("self cost that is not square", "C", lambda: refot.sinkhorn_symmetric(C, A, 1.0)),
    case("matrix where points are needed", "C", lambda: refot.normalised(C), TypeInputError),
    case("alpha of points at the origin", "alpha",
         lambda: refot.normalised(refot.point_cost(Y, 0 * Y))),
    case("negative alpha", "alpha", lambda: refot.normalised(refot.point_cost(X, Y), -1.0)),
]

POINTS = [
    case("NaN point", "x", lambda: refot.point_cost(with_entry(X, NAN), Y)),
    case("infinite point", "y", lambda: refot.point_cost(X, with_entry(Y, -INF))),
    case("NaN point in an operand", "x",
         lambda: refot.solve(refot.PointCost(with_entry(X, NAN), Y, refot.point_cost(X, Y).ground),
                             A, B, 1.0)),
    case("points with one axis", "x", lambda: refot.point_cost(X[:, 0], Y), ShapeError),
    case("no points", "y", lambda: refot.point_cost(X, Y[:0]), ShapeError),
    case("points without coordinates", "x", lambda: refot.point_cost(X[:, :0], Y), ShapeError),
    case("x and y of different dimension", "y", lambda: refot.point_cost(X, Y[:, :1]), ShapeError),
    case("x and y of different dtype", "y", lambda: refot.point_cost(X, Y.astype(np.float32)),
         TypeInputError),
    case("complex points", "points", lambda: refot.measure(X).push_forward(lambda x: x + 0j),
         TypeInputError),
    case("unknown ground cost", "cost", lambda: refot.point_cost(X, Y, "l2"), UnknownNameError),
    case("ground cost that is no name", "cost", lambda: refot.point_cost(X, Y, 2),
         UnknownNameError),
    case("ground cost of a divergence unknown", "cost",
         lambda: refot.sinkhorn_divergence(X, A, Y, B, 1.0, "sinkhorn"), UnknownNameError),
    case("critic of a cost that is no distance", "cost",
         lambda: refot.kantorovich_rubinstein(F, G, refot.point_cost(X, Y, "dot"), A, B),
         UnknownNameError),
    case("scale 0", "scale", lambda: refot.point_cost(X, Y, scale=0.0)),
    case("empty measure", "points", lambda: refot.measure(X[:0]), ShapeError),
    case("measure with a NaN point", "points", lambda: refot.measure(with_entry(X, NAN))),
    case("measure with weights that do not fit", "weights", lambda: refot.measure(X, B),
         ShapeError),
]

WEIGHTS = [
    case("negative weight", "a", lambda: value_of([0.75, 0.5, -0.25], B, 1.0), WeightError),
    case("weights that sum to 2", "b", lambda: value_of(A, 2 * B, 1.0), WeightError),
    case("weights that sum to 1 + 1e-6", "a", lambda: value_of((1 + 1e-6) * A, B, 1.0),
         WeightError),
    case("weights all zero", "b", lambda: value_of(A, 0 * B, 1.0), WeightError),
    case("NaN weight", "a", lambda: value_of(with_entry(A, NAN), B, 1.0)),
    case("infinite weight", "b", lambda: value_of(A, with_entry(B, INF), 1.0)),
    case("too few weights", "a", lambda: value_of(B, B, 1.0), ShapeError),
    case("weights of the other side", "a", lambda: value_of(B, A, 1.0), ShapeError),
    case("weights with two axes", "b", lambda: value_of(A, B[None], 1.0), ShapeError),
    case("scalar weight", "a", lambda: value_of(1.0, B, 1.0), ShapeError),
    case("no weights", "a", lambda: value_of(A[:0], B, 1.0), ShapeError),
    case("complex weights", "a", lambda: value_of(A + 0j, B, 1.0), TypeInputError),
    case("weights of the transform", "b", lambda: refot.c_transform(G, C, 2 * B), WeightError),
    case("weights of the exact cost", "a", lambda: refot.kantorovich(C, 2 * A, B), WeightError),
    case("weights of the MMD", "b", lambda: refot.mmd_squared(X, A, Y, -B), WeightError),
    case("weights of the scaling form", "a", lambda: refot.sinkhorn_scaling(C, 2 * A, B, 1.0, 3),
         WeightError),
    case("U-statistic of a single atom", "a",
         lambda: refot.mmd_squared_unbiased(X[:1], np.ones(1), Y, B)),
    case("U-statistic with all mass on one atom", "b",
         lambda: refot.mmd_squared_unbiased(X, A, Y, np.array([1.0, 0.0]))),
]

EPSILONS = [
    case(f"eps {eps!r}", "eps", partial(value_of, A, B, eps), kind)
    for eps, kind in [
        (0.0, InputError), (-1.0, InputError), (NAN, InputError), (INF, InputError),
        (10**400, InputError), ("0.1", TypeInputError), (None, TypeInputError),
        (True, TypeInputError), (np.True_, TypeInputError), (1 + 0j, TypeInputError),
        (np.complex64(1), TypeInputError), (b"1", TypeInputError), ([0.1], TypeInputError),
        (np.array([0.1]), TypeInputError),
    ]
] + [
    case(f"eps of {function.__name__}", "eps", partial(function, *arguments))
    for function, arguments in [
        (refot.softmin, (C, G, -1.0)),
        (refot.conditional, (G, C, B, 0)),
        (refot.dual, (F, G, C, A, B, NAN)),
        (refot.log_dual, (F, G, C, A, B, 0.0)),
        (refot.primal, (P, C, A, B, 0.0)),
        (refot.plan, (F, G, C, A, B, -INF)),
        (refot.sinkhorn_divergence, (X, A, Y, B, 0.0)),
        (refot.sinkhorn_scaling, (C, A, B, 0.0, 3)),
        (refot.sinkhorn_symmetric, (refot.point_cost(X, X), A, -0.5)),
        (printed.dual_printed, (F, G, C, A, B, 0.0)),
    ]
]

POTENTIALS = [
    case("NaN potential", "f", lambda: refot.dual(with_entry(F, NAN), G, C, A, B, 1.0)),
    case("infinite potential", "g", lambda: refot.semi_dual(with_entry(G, INF), C, A, B, 1.0)),
    case("potentials exchanged", "f", lambda: refot.plan(G, F, C, A, B, 1.0), ShapeError),
    case("potential with two axes", "g", lambda: refot.c_eps_transform(G[None], C, B, 1.0),
         ShapeError),
    case("potential of integers as strings", "g",
         lambda: refot.semi_dual_gradient(["0", "0"], C, A, B, 1.0), TypeInputError),
    case("potential of the exact dual", "f",
         lambda: refot.kantorovich_dual(with_entry(F, NAN), G, C, A, B)),
    case("warm start of the wrong length", "g", lambda: solve(g=F), ShapeError),
    case("NaN warm start", "f",
         lambda: refot.sinkhorn_symmetric(refot.point_cost(X, X), A, 1.0, f=with_entry(F, NAN))),
    case("softmin of NaN", "h", lambda: refot.softmin(C, with_entry(G, NAN), 1.0)),
    case("softmin of +infinity", "h", lambda: refot.softmin(C, with_entry(G, INF), 1.0)),
    case("softmin of -infinity in every column", "h",
         lambda: refot.softmin(C, np.full(2, -INF), 1.0)),
    case("softmin over the rows", "h", lambda: refot.softmin(C, F, 1.0), ShapeError),
    case("marginals with a NaN potential", "g",
         lambda: refot.marginals(F, with_entry(G, NAN), C, A, B, 1.0)),
]

PLANS = [
    case("negative plan to be rounded", "P",
         lambda: refot.round_to_marginals(with_entry(P, -0.1), A, B), WeightError),
    case("NaN plan", "P", lambda: refot.round_to_marginals(with_entry(P, NAN), A, B)),
    case("plan whose rows do not fit", "a", lambda: refot.round_to_marginals(P.T, A, B),
         ShapeError),
    case("negative plan in the primal", "P",
         lambda: refot.primal(with_entry(P, -0.1), C, A, B, 1.0), WeightError),
    case("transposed plan in the primal", "P", lambda: refot.primal(P.T, C, A, B, 1.0), ShapeError),
    case("negative plan in the cost", "P", lambda: refot.transport_cost(-P, C), WeightError),
    case("negative plan in the entropy form", "P", lambda: refot.entropic_primal(-P, C, 1.0),
         WeightError),
    case("lam 0 in the entropy form", "lam", lambda: refot.entropic_primal(P, C, 0.0)),
    case("negative joint law", "P", lambda: refot.mutual_information(with_entry(P, -0.1)),
         WeightError),
    case("joint law with one axis", "P", lambda: refot.mutual_information(A), ShapeError),
    case("negative mass in KL", "p", lambda: refot.kl(-A, A), WeightError),
    case("KL of different shapes", "q", lambda: refot.kl(A, B), ShapeError),
    case("KL of numbers", "p", lambda: refot.kl(0.5, 0.5), ShapeError),
    case("KL of nothing", "q", lambda: refot.kl(A, None), TypeInputError),
    case("entropy of a NaN", "p", lambda: refot.entropy(with_entry(A, NAN))),
]

INFORMATION = [
    case("negative lam", "lam", lambda: refot.informative_cost(C, Q, -0.1)),
    case("NaN lam", "lam", lambda: refot.informative_plan(C, Q, NAN, A, B, 1.0)),
    case("lam that is no number", "lam", lambda: refot.informative_cost(C, Q, "1"), TypeInputError),
    case("transposed Q", "Q", lambda: refot.informative_plan(C, Q.T, 1.0, A, B, 1.0), ShapeError),
    case("NaN in Q", "Q", lambda: refot.kl_dual(with_entry(Q, NAN), P, A, B)),
    case("Q that does not fit P", "Q", lambda: refot.q_objective(Q[:2], P, A, B), ShapeError),
    case("negative plan in the objective of Q", "P", lambda: refot.q_objective(Q, -P, A, B),
         WeightError),
    case("weights of the objective of Q", "a", lambda: refot.q_objective(Q, P, 2 * A, B),
         WeightError),
    case("code out of range", "codes", lambda: refot.sum_noise(P, [0, 1, 2], 2)),
    case("negative code", "codes", lambda: refot.sum_noise(P, [0, -1, 1], 2)),
    case("codes of floats", "codes", lambda: refot.sum_noise(P, [0.0, 1.0, 1.0], 2),
         TypeInputError),
    case("too few codes", "codes", lambda: refot.sum_noise(P, [0, 1], 2), ShapeError),
    case("no codes at all", "n_codes", lambda: refot.sum_noise(P, [0, 1, 1], 0)),
    case("printed plan with a NaN Q", "Q",
         lambda: printed.informative_plan_printed(G, C, with_entry(Q, NAN), 1.0, A, B, 1.0)),
]

CONTROLS = [
    case("tol 0", "tol", lambda: solve(tol=0.0)),
    case("negative tol", "tol", lambda: refot.sinkhorn_log(C, A, B, 1.0, tol=-1e-9)),
    case("NaN tol", "tol", lambda: solve(tol=NAN)),
    case("tol of the schedule", "tol", lambda: solve(method="schedule", tol=0)),
    case("tol of Newton on the other side", "tol",
         lambda: refot.solve(C.T, B, A, 0.01, method="newton", tol=0)),
    case("tol of a divergence", "tol", lambda: refot.sinkhorn_divergence(X, A, Y, B, 1.0, tol=-1)),
    case("max_iter 0", "max_iter", lambda: solve(max_iter=0)),
    case("negative max_iter", "max_iter", lambda: refot.sinkhorn_log(C, A, B, 1.0, max_iter=-3)),
    case("max_iter 10.0", "max_iter", lambda: solve(max_iter=10.0), TypeInputError),
    case("max_iter True", "max_iter", lambda: solve(max_iter=True), TypeInputError),
    case("max_iter as an array", "max_iter", lambda: solve(max_iter=np.array([10])),
         TypeInputError),
    case("max_iter None", "max_iter", lambda: solve(max_iter=None), TypeInputError),
    case("L 0", "L", lambda: refot.sinkhorn_scaling(C, A, B, 1.0, 0)),
    case("L 2.5", "L", lambda: refot.scaling_loss(C, A, B, 1.0, 2.5), TypeInputError),
    case("unknown method", "method", lambda: solve(method="greenkhorn"), UnknownNameError),
    case("method None", "method", lambda: solve(method=None), UnknownNameError),
    case("Newton in float32", "method",
         lambda: refot.solve(C.astype(np.float32), A, B, 1.0, method="newton")),
    case("unknown backend", "backend", lambda: solve(backend="fortran"), UnknownNameError),
    case("backend that is no backend", "backend", lambda: solve(backend=3), TypeInputError),
    case("class of a backend", "backend", lambda: solve(backend=NumpyBackend), TypeInputError),
    case("unknown default backend", "backend",
         lambda: refot.use_backend("fortran").__enter__(), UnknownNameError),
]

KINDS = [*COSTS, *POINTS, *WEIGHTS, *EPSILONS, *POTENTIALS, *PLANS, *INFORMATION, *CONTROLS]


@pytest.mark.parametrize(("name", "call", "kind"), KINDS)
def test_bad_input_is_named_before_any_work(name, call, kind):
    with refot.use_backend(Idle()), pytest.raises(InputError) as caught:
        call()
    error = caught.value
    assert type(error) is kind
    assert isinstance(error, ValueError)
    assert re.fullmatch(rf"{name}: .+; allowed: .+", str(error))
    assert (error.name, str(error)) == (name, f"{name}: {error.found}; allowed: {error.allowed}")


def test_the_idle_backend_would_notice_work():
    """The control: good input reaches the backend, and there the test would fail."""
    with refot.use_backend(Idle()), pytest.raises(AssertionError, match="work began"):
        solve()


def test_an_unknown_backend_in_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("REFOT_BACKEND", "fortran")
    with pytest.raises(UnknownNameError, match=r"^backend: 'fortran'; allowed: one of .*numpy"):
        solve()


@pytest.mark.parametrize(("dtype", "excess"), [(np.float64, 1e-11), (np.float32, 1e-6)])
def test_what_is_only_nearly_wrong_is_accepted(dtype, excess):
    """Weights within the stated tolerance of 1, zero weights, integers, lists."""
    weights = ((1 + excess) * A).astype(dtype)
    found = refot.solve(C.astype(dtype), weights, [1, 0], 1, tol=10 * excess)
    assert found.converged
    assert found.f.dtype == dtype
    assert refot.solve([[1, 2], [0, 1]], [0.5, 0.5], [1, 0], 1).converged
