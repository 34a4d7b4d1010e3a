"""refot.jax: the numbers of refot, their derivatives by JAX's own check, jit, vmap, dtypes."""

from __future__ import annotations

import numpy as np
import pytest

import refot
from refot.arrays import InputError
from refot.autodiff import losses

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.peers

from jax import numpy as jnp  # noqa: E402 - jax may be missing

from refot.jax import (  # noqa: E402
    entropic_value,
    sinkhorn_divergence,
    solve,
    unbalanced_divergence,
)
from refot.unbalanced.values import unbalanced_divergence as refot_divergence  # noqa: E402

EPS = 0.3
COSTS = ("sqeuclidean", "euclidean", "l1", "dot")


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def clouds():
    """x (6, 2), y (4, 2), and logits of weights."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(6, 2)), rng.normal(size=6), rng.normal(size=(4, 2)) + 0.5,
            rng.normal(size=4))


def of(loss, cost="sqeuclidean"):
    """The loss as a function of points and logits."""
    def value(x, s, y, t):
        return loss(x, y, eps=EPS, a=jax.nn.softmax(s), b=jax.nn.softmax(t), cost=cost,
                    backend="numpy")

    return value


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("loss", [entropic_value, sinkhorn_divergence])
def test_first_and_second_derivatives_are_those_of_differences(clouds, loss, cost):
    from jax.test_util import check_grads

    check_grads(of(loss, cost), clouds, order=2, modes=["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cost", COSTS)
def test_value_and_gradients_are_those_of_refot(clouds, cost):
    x, s, y, t = clouds
    a, b = np.asarray(jax.nn.softmax(s)), np.asarray(jax.nn.softmax(t))

    def loss(x, a, y, b):
        return sinkhorn_divergence(x, y, eps=EPS, a=a, b=b, cost=cost, backend="numpy")

    value, found = jax.value_and_grad(loss, argnums=(0, 1, 2, 3))(x, a, y, b)
    there, back = (x, a, y, b), (y, b, x, a)
    assert float(value) == pytest.approx(
        refot.sinkhorn_divergence(*there, EPS, cost, tol=1e-12), abs=1e-12)
    for part, function, measures in zip(
            found, 2 * [refot.sinkhorn_divergence_gradient,
                        refot.sinkhorn_divergence_gradient_weights],
            (there, there, back, back), strict=True):
        np.testing.assert_allclose(part, function(*measures, EPS, cost), atol=1e-11)


def test_the_unbalanced_divergence_is_refots_and_has_its_derivatives(clouds):
    from jax.test_util import check_grads

    x, s, y, t = clouds
    a, b = np.exp(s) / 5, np.exp(t) / 3

    def loss(x, a, y, b):
        return unbalanced_divergence(x, y, eps=EPS, rho=0.8, a=a, b=b, backend="numpy", tol=1e-12)

    assert float(loss(x, a, y, b)) == pytest.approx(
        refot_divergence(x, a, y, b, EPS, 0.8, tol=1e-12), abs=1e-12)
    check_grads(loss, (x, a, y, b), order=2, modes=["rev"], atol=1e-6, rtol=1e-6)


def test_jit_and_vmap_change_nothing(clouds):
    x, s, y, t = clouds
    loss = of(sinkhorn_divergence)
    gradient = jax.grad(loss)(x, s, y, t)
    np.testing.assert_array_equal(jax.jit(jax.grad(loss))(x, s, y, t), gradient)
    xs, ys = jnp.stack([x, 2 * x]), jnp.stack([y, y - 1])
    mapped = jax.vmap(lambda x, y: jax.grad(loss)(x, s, y, t))(xs, ys)
    np.testing.assert_array_equal(mapped[0], gradient)
    together = sinkhorn_divergence(xs, ys, eps=EPS)
    parts = [sinkhorn_divergence(x, y, eps=EPS) for x, y in zip(xs, ys, strict=True)]
    np.testing.assert_array_equal(together, np.stack(parts))
    hessian = jax.jit(jax.jacrev(jax.jacrev(loss)))(x, s, y, t)
    np.testing.assert_allclose(hessian, hessian.transpose(2, 3, 0, 1), atol=1e-10)


def test_the_plan_beside_the_loss_is_that_of_its_solve(clouds):
    x, s, y, t = clouds
    a, b = jax.nn.softmax(s), jax.nn.softmax(t)
    found = jax.jit(lambda x, y: solve(x, y, eps=EPS, a=a, b=b))(x, y)
    C = ((x[:, None] - y) ** 2).sum(axis=2)
    expected = a[:, None] * b * jnp.exp((found.f[:, None] + found.g - C) / EPS)
    np.testing.assert_allclose(found.plan, expected, atol=1e-12)
    np.testing.assert_allclose(found.plan.sum(axis=1), a, atol=1e-12)
    assert float(jax.grad(lambda x: solve(x, y, eps=EPS).plan.sum())(x).sum()) == 0


@pytest.mark.parametrize(("given", "value"), [
    ("float64", "float64"), ("float32", "float32"), ("float16", "float32"),
    ("bfloat16", "float32"), ("int32", "float64")])
def test_each_dtype_is_computed_in_one_of_two(clouds, given, value):
    x, y = (jnp.asarray(10 * each, given) for each in clouds[::2])
    found = sinkhorn_divergence(x, y, eps=30.0)
    assert found.dtype == value
    exact = refot.sinkhorn_divergence(*(np.asarray(part, float) for part in (x,)), None,
                                      np.asarray(y, float), None, 30.0)
    assert float(found) == pytest.approx(exact, rel=1e-5)


def test_without_double_precision_it_is_float32(clouds):
    with jax.enable_x64(False):
        found = sinkhorn_divergence(jnp.asarray(clouds[0]), jnp.asarray(clouds[2]), eps=EPS)
    assert found.dtype == "float32"


@pytest.mark.parametrize(("change", "name"), [
    (lambda x, y, a: (x[0], y, a), "x"),
    (lambda x, y, a: (x[None], y, a), "y"),
    (lambda x, y, a: (x[:0], y, a), "x"),
    (lambda x, y, a: (x, y[:0], a), "y"),
    (lambda x, y, a: (x, y.astype("float32"), a), "y"),
    (lambda x, y, a: (x + 0j, y, a), "x"),
    (lambda x, y, a: (np.array([[None]]), y, a), "x"),
    (lambda x, y, a: (x, y, a[:2]), "a"),
    (lambda x, y, a: (x, y, 2 * a), "a"),
    (lambda x, y, a: (x, y * np.nan, a), "y"),
    (lambda x, y, a: (np.stack([x, x * np.inf]), np.stack([y, y]), a), "x"),
])
def test_what_cannot_be_used_is_named(clouds, change, name):
    x, y, a = change(clouds[0], clouds[2], np.full(6, 1 / 6))
    with pytest.raises(InputError, match=f"^{name}: "):
        entropic_value(x, y, eps=EPS, a=a)


def test_an_error_of_refot_reaches_the_caller_of_a_compiled_function(clouds):
    x, _, y, _ = clouds
    with pytest.raises(Exception, match=r"a: sum 1\.9+8, off by 1"):
        jax.jit(lambda a: entropic_value(x, y, eps=EPS, a=a))(np.full(6, 1 / 3))


@pytest.mark.parametrize("debiased", [True, False])
def test_a_start_changes_the_work_and_not_the_answer(monkeypatch, debiased):
    """From the potentials of points nearby, of points far away, and from some of no use at all.
    Two values are as near to each other as tol times the size of the potentials."""
    taken, solve_all = [], losses.solved_loss
    monkeypatch.setattr(losses, "solved_loss", lambda *given: noted(solve_all(*given)))

    def noted(found):
        taken.append(sum(result.iterations for result in found[1]))
        return found

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(35, 2)) + 0.5
    options = {"eps": EPS, "backend": "numpy", "tol": 1e-9, "debiased": debiased}
    first, cold = solve(x, y, **options), solve(x + 1e-3, y, **options)
    far = solve(5 - 20 * x, y, **options)
    assert first.potentials.shape == ((150,) if debiased else (75,))
    kept = taken[1]
    for start in (first, far):
        again = jax.jit(lambda x, start: solve(x, y, start=start, **options).value)(
            x + 1e-3, start.potentials)
        assert float(again) == pytest.approx(float(cold.value), rel=1e-8)
    assert taken[3] < 0.75 * kept
    useless = first.potentials * 1e200
    assert float(solve(x, y, start=useless, **options).value) == pytest.approx(
        float(first.value), rel=1e-8)


@pytest.mark.parametrize("wanted", ["x", "a", "xb"])
def test_the_gradients_that_are_wanted_come_with_the_value(monkeypatch, clouds, wanted):
    """In one call on the host: nothing is restored from potentials, and no other gradient is
    computed."""
    x, _, y, _ = clouds
    at, asked = {"x": x, "a": np.full(6, 1 / 6), "y": y, "b": np.full(4, 1 / 4)}, []
    for name in at:
        own = getattr(losses.SolvedLoss, f"gradient_{name}")
        monkeypatch.setattr(losses.SolvedLoss, f"gradient_{name}",
                            lambda self, own=own, name=name: (asked.append(name), own(self))[1])
    monkeypatch.setattr(losses.Loss, "restored", None)

    def loss(moved):
        given = at | moved
        return entropic_value(given["x"], given["y"], eps=EPS, a=given["a"], b=given["b"])

    jax.jit(jax.grad(loss))({name: at[name] for name in wanted})
    assert asked[:len(wanted)] == list(wanted)  # that in b is that in a of the exchanged loss
    assert set(asked) <= {*wanted, "a"}
    assert "x" in wanted or "x" not in asked


def test_a_start_has_no_gradient_and_goes_through_batches(clouds):
    x, y = (jnp.stack([points, points + 0.1]) for points in (clouds[0], clouds[2]))
    first = solve(x, y, eps=EPS)

    def total(x, start):
        return solve(x, y, eps=EPS, start=start).value.sum()

    in_x, in_start = jax.grad(total, argnums=(0, 1))(x, first.potentials)
    np.testing.assert_allclose(in_x, jax.grad(total)(x, None), rtol=1e-6, atol=1e-9)
    assert not in_start.any()
    with pytest.raises(InputError, match=r"^start: shape \(2, 3\)"):
        solve(x, y, eps=EPS, start=first.potentials[:, :3])
