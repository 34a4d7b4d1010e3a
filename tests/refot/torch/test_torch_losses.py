"""refot.torch: the numbers of refot, their derivatives by torch's own checks, batches, compile."""

from __future__ import annotations

import numpy as np
import pytest

import refot
from refot.arrays import ConvergenceWarning, InputError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

from refot.autodiff import losses  # noqa: E402
from refot.torch import (  # noqa: E402 - torch may be missing
    EntropicValue,
    SamplesLoss,
    SinkhornDivergence,
    UnbalancedDivergence,
    entropic_value,
    sinkhorn_divergence,
    unbalanced_divergence,
)
from refot.unbalanced import gradients as refot_gradients  # noqa: E402
from refot.unbalanced import values as refot_values  # noqa: E402

EPS = 0.3
COSTS = ("sqeuclidean", "euclidean", "l1", "dot")
LOSSES = (entropic_value, sinkhorn_divergence)


@pytest.fixture
def clouds():
    """x (6, 2), y (4, 2), and logits of weights, in float64."""
    draw = torch.Generator().manual_seed(0)
    x, y = (torch.randn(k, 2, generator=draw, dtype=torch.float64) for k in (6, 4))
    s, t = (torch.randn(k, generator=draw, dtype=torch.float64) for k in (6, 4))
    return [each.requires_grad_() for each in (x, s, y + 0.5, t)]


def of(loss, cost="sqeuclidean", **options):
    """The loss as a function of points and logits, solved to the rounding of float64."""
    def value(x, s, y, t):
        return loss(x, y, eps=EPS, a=s.softmax(-1), b=t.softmax(-1), cost=cost, backend="numpy",
                    **options)

    return value


# ------------------------------------------------------------------ the derivatives
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_first_and_second_derivatives_are_those_of_differences(clouds, loss, cost):
    entry_by_entry = cost == "sqeuclidean"  # else along random directions, which is faster
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(of(loss, cost), clouds, fast_mode=not entry_by_entry)


@pytest.mark.parametrize("cost", COSTS)
def test_value_and_gradients_are_those_of_refot(clouds, cost):
    """Each side solves to its first-order tolerance: 1e-13 or so, of numbers of size 1."""
    x, s, y, t = (each.detach() for each in clouds)
    a, b = s.softmax(-1).requires_grad_(), t.softmax(-1).requires_grad_()
    x, y = x.requires_grad_(), y.requires_grad_()
    found = sinkhorn_divergence(x, y, eps=EPS, a=a, b=b, cost=cost, backend="numpy")
    found.backward()
    there = [each.detach().numpy() for each in (x, a, y, b)]
    back = [*there[2:], *there[:2]]
    value = refot.sinkhorn_divergence(*there, EPS, cost, tol=1e-12)
    assert found.item() == pytest.approx(value, abs=1e-12)
    for tensor, function, measures in (
            (x, refot.sinkhorn_divergence_gradient, there),
            (a, refot.sinkhorn_divergence_gradient_weights, there),
            (y, refot.sinkhorn_divergence_gradient, back),
            (b, refot.sinkhorn_divergence_gradient_weights, back)):
        np.testing.assert_allclose(tensor.grad, function(*measures, EPS, cost), atol=1e-11)


@pytest.fixture
def masses(clouds):
    """x, a, y, b with masses that differ in total."""
    x, s, y, t = (each.detach() for each in clouds)
    return [each.requires_grad_() for each in (x, s.exp() / 5, y, t.exp() / 3)]


def unbalanced(x, a, y, b):
    """The unbalanced loss as a function of points and masses."""
    return unbalanced_divergence(x, y, eps=EPS, rho=0.8, a=a, b=b, backend="numpy", tol=1e-13)


def test_derivatives_of_the_unbalanced_divergence_are_those_of_differences(masses):
    assert torch.autograd.gradcheck(unbalanced, masses)
    assert torch.autograd.gradgradcheck(unbalanced, masses)


@pytest.mark.parametrize(("penalty", "tol"), [("kl", 1e-13), ("tv", 1e-9)])
def test_the_unbalanced_divergence_is_that_of_refot(masses, penalty, tol):
    """Both sides solve to the same tolerance, of which the gradients may differ by a multiple."""
    x, a, y, b = masses
    found = unbalanced_divergence(x, y, eps=EPS, rho=0.8, a=a, b=b, backend="numpy", tol=tol,
                                  penalty=penalty)
    found.backward()
    there = [each.detach().numpy() for each in masses]
    options = {"penalty": penalty, "tol": tol}
    value = refot_values.unbalanced_divergence(*there, EPS, 0.8, **options)
    assert found.item() == pytest.approx(value, abs=1e-12 + tol)
    for tensors, measures in (((x, a), there), ((y, b), there[2:] + there[:2])):
        for tensor, function in zip(tensors, (
                refot_gradients.unbalanced_divergence_gradient,
                refot_gradients.unbalanced_divergence_gradient_weights), strict=True):
            np.testing.assert_allclose(tensor.grad, function(*measures, EPS, 0.8, **options),
                                       atol=1e-11 + 100 * tol)


def test_the_gradient_in_masses_with_total_variation_is_that_of_differences(masses):
    """The level of the self terms' potentials is free: it must not enter."""
    x, a, y, b = (each.detach() for each in masses)

    def value(a):
        return unbalanced_divergence(x, y, eps=EPS, rho=0.8, a=a, b=b, penalty="tv", tol=1e-8,
                                     backend="numpy")

    found, = torch.autograd.grad(value(a.requires_grad_()), a)
    h, into = 1e-4, torch.eye(6, dtype=torch.float64)[0]
    slope = (value(a.detach() + h * into) - value(a.detach() - h * into)) / (2 * h)
    assert found[0].item() == pytest.approx(slope.item(), abs=1e-6)


def test_total_variation_has_no_second_derivative(masses):
    x, *others = masses
    a, y, b = others
    value = unbalanced_divergence(x, y, eps=EPS, rho=0.8, a=a, b=b, penalty="tv", tol=1e-6)
    first, = torch.autograd.grad(value, x, create_graph=True)
    with pytest.raises(InputError, match="no second derivative"):
        first.square().sum().backward()


def test_a_third_derivative_is_refused(clouds):
    x, *others = clouds
    first, = torch.autograd.grad(of(entropic_value)(x, *others), x, create_graph=True)
    second, = torch.autograd.grad(first.sum(), x, create_graph=True)
    with pytest.raises(InputError, match="third derivative"):
        second.square().sum().backward()


def test_a_cost_without_a_second_derivative_says_so(clouds, monkeypatch):
    from refot.costs.ground import POINT_COSTS, GroundCost, l1, l1_gradient

    monkeypatch.setitem(POINT_COSTS, "plain", GroundCost("plain", l1, l1_gradient, lambda d: d + 3))
    x, *others = clouds
    first, = torch.autograd.grad(of(entropic_value, "plain")(x, *others), x, create_graph=True)
    with pytest.raises(InputError, match="no second derivative"):
        first.sum().backward()


def test_the_derivative_in_the_weights_holds_at_a_weight_of_zero():
    """Its point has no mass, and a potential all the same."""
    x, y = torch.tensor([[0.0], [1.0], [5.0]]).double(), torch.tensor([[0.5], [2.0]]).double()
    a = torch.tensor([0.4, 0.6, 0.0], dtype=torch.float64).requires_grad_()
    first, = torch.autograd.grad(entropic_value(x, y, eps=1.0, a=a), a, create_graph=True)
    second, = torch.autograd.grad(first[2], a)
    h, into = 1e-6, torch.tensor([-0.5, -0.5, 1.0]).double()
    moved = (a + h * into).detach().requires_grad_()
    ahead, = torch.autograd.grad(entropic_value(x, y, eps=1.0, a=moved), moved)
    assert (second @ into).item() == pytest.approx((ahead[2] - first[2]).item() / h, rel=1e-4)


# ------------------------------------------------------------------ how tensors come and go
@pytest.mark.parametrize("loss", [
    EntropicValue(EPS), SinkhornDivergence(EPS), UnbalancedDivergence(EPS, 0.8)])
def test_a_batch_is_its_members(clouds, loss):
    x, s, y, _ = clouds
    xs, ys = torch.stack([x, 2 * x]), torch.stack([y, y - 1])
    a = torch.stack([s.softmax(0), (2 * s).softmax(0)])
    together = loss.solve(xs, ys, a=a)
    assert together.value.shape == (2,)
    assert together.plan.shape == (2, 6, 4)
    gradient, = torch.autograd.grad(together.value.sum(), x, retain_graph=True)
    parts = [loss(each, other, a=weights) for each, other, weights in zip(xs, ys, a, strict=True)]
    assert torch.equal(together.value, torch.stack(parts))
    assert torch.equal(gradient, torch.autograd.grad(sum(parts), x)[0])
    mapped = torch.vmap(lambda x, y, a: loss(x, y, a=a))(xs, ys, a)
    assert torch.equal(mapped, together.value)
    derived = torch.vmap(torch.func.grad(lambda x, y: loss(x, y)))(xs.detach(), ys.detach())
    assert torch.equal(derived[1], torch.func.grad(lambda x: loss(x, ys[1].detach()))(
        xs[1].detach()))


def test_the_plan_beside_the_loss_is_that_of_its_solve(clouds):
    x, s, y, t = (each.detach() for each in clouds)
    a, b = s.softmax(0), t.softmax(0)
    found = SinkhornDivergence(EPS).solve(x, y, a=a, b=b)
    torch.testing.assert_close(found.plan.sum(0), b, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.plan.sum(1), a, atol=1e-12, rtol=0)
    C = torch.cdist(x, y) ** 2
    expected = a[:, None] * b * torch.exp((found.f[:, None] + found.g - C) / EPS)
    torch.testing.assert_close(found.plan, expected, atol=1e-12, rtol=0)
    assert not found.plan.requires_grad


@pytest.mark.parametrize(("given", "value"), [
    ("float64", "float64"), ("float32", "float32"), ("float16", "float32"),
    ("bfloat16", "float32")])
def test_dtypes_are_kept_and_half_precision_is_computed_in_single(clouds, given, value):
    x, y = (each.detach().to(getattr(torch, given)).requires_grad_() for each in clouds[::2])
    found = sinkhorn_divergence(x, y, eps=EPS)
    found.backward()
    assert found.dtype == getattr(torch, value)
    assert x.grad.dtype == x.dtype
    exact = sinkhorn_divergence(x.detach().double(), y.detach().double(), eps=EPS)
    assert found.item() == pytest.approx(exact.item(), abs=1e-5)


def test_tensors_of_any_layout_are_read_right(clouds):
    x, _, y, _ = (each.detach() for each in clouds)
    strided = torch.stack([x, x], dim=2)[:, :, 0]
    assert not strided.is_contiguous()
    expected = entropic_value(x, y, eps=EPS)
    assert torch.equal(entropic_value(strided, y.T.contiguous().T, eps=EPS), expected)


@pytest.mark.parametrize(("change", "name"), [
    (lambda x, y, a: (x.numpy(), y, a), "x"),
    (lambda x, y, a: (x[0], y, a), "x"),
    (lambda x, y, a: (x[None], y, a), "y"),
    (lambda x, y, a: (x[:0], y, a), "x"),
    (lambda x, y, a: (x, y[:0], a), "y"),
    (lambda x, y, a: (x, y.float(), a), "y"),
    (lambda x, y, a: (x.to(torch.complex128), y, a), "x"),
    (lambda x, y, a: (x.to_sparse(), y, a), "x"),
    (lambda x, y, a: (x, y, a[:2]), "a"),
    (lambda x, y, a: (x, y, 2 * a), "a"),
    (lambda x, y, a: (x * float("nan"), y, a), "x"),
])
def test_what_cannot_be_used_is_named(clouds, change, name):
    x, y = clouds[0].detach(), clouds[2].detach()
    x, y, a = change(x, y, torch.full((6,), 1 / 6, dtype=torch.float64))
    with pytest.raises(InputError, match=f"^{name}: "):
        entropic_value(x, y, eps=EPS, a=a)


def test_a_solve_that_falls_short_warns(clouds):
    x, y = clouds[0].detach(), clouds[2].detach()
    with pytest.warns(ConvergenceWarning):
        entropic_value(x, y, eps=EPS, tol=1e-30)


# ------------------------------------------------------------------ a warm start
def many(warm_start, loss=SinkhornDivergence, **options):
    """A loss of clouds of some thirty points."""
    return loss(0.3, backend="numpy", warm_start=warm_start, **options)


@pytest.mark.parametrize("options", [
    {}, {"loss": EntropicValue}, {"loss": UnbalancedDivergence, "rho": 0.8}])
def test_a_warm_start_saves_iterations_and_changes_no_answer(monkeypatch, options):
    """Clouds that have moved a little, then others at a distance, then a batch. Two values are as
    near to each other as tol times the size of the potentials."""
    taken, solved = [], losses.solved_loss
    monkeypatch.setattr(losses, "solved_loss", lambda *given: noted(solved(*given)))

    def noted(found):
        taken.append(sum(result.iterations for result in found[1]))
        return found

    draw = torch.Generator().manual_seed(3)
    x, y = (torch.randn(n, 2, generator=draw, dtype=torch.float64) for n in (30, 25))
    warm, cold = (many(kept, tol=1e-9, **options) for kept in (True, False))
    for points in (x, x + 1e-3 * y[:1], 5 - 20 * x, torch.stack([x, 2 * x]), x):
        others = y if points.ndim == 2 else torch.stack([y, y])
        found, expected = (loss(points, others) for loss in (warm, cold))
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
    assert taken[0] == taken[1], "there is nothing to start from"
    assert taken[2] < 0.75 * taken[3]


def test_what_a_warm_start_cannot_use_it_does_not(clouds):
    """Potentials that are no numbers; tensors of torch.func, which must not be kept; many shapes,
    of which the first is forgotten."""
    x, y = clouds[0].detach(), clouds[2].detach()
    warm, cold = many(True), many(False)
    warm(x, y)
    for kept in warm._last._kept.values():
        kept.fill_(torch.nan)
    assert torch.equal(warm(x, y), cold(x, y))
    before = list(warm._last._kept)
    torch.vmap(warm)(x.expand(3, 6, 2), y.expand(3, 4, 2))
    torch.func.grad(warm)(x[:5], y)
    assert list(warm._last._kept) == before
    for n in (2, 3, 4, 5):
        warm(x[:n], y)
    assert [shape[0][1] for shape in warm._last._kept] == [2, 3, 4, 5]
    with pytest.raises(InputError, match="warm_start"):
        SinkhornDivergence(EPS, warm_start=1)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_torch_compile_takes_the_loss_whole(clouds):
    def loss(x, s, y, t):
        return of(sinkhorn_divergence)(torch.tanh(x), s, y, t).sin()

    plain = loss(*clouds)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")(*clouds)
    assert torch.equal(plain, compiled)
    for expected, found in zip(torch.autograd.grad(plain, clouds),
                               torch.autograd.grad(compiled, clouds), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-14, rtol=1e-14)


# ------------------------------------------------------------------ geomloss.SamplesLoss
@pytest.mark.parametrize("debias", [True, False])
@pytest.mark.parametrize(("p", "blur", "floor"), [(2, 0.5, 0.0), (1, 0.3, 1e-4)])
def test_it_is_the_limit_of_geomloss(clouds, p, blur, floor, debias):
    """The error of GeomLoss falls with 1 - scaling. For p = 1 its distance is 1e-4 from a point to
    itself (docs/conventions.md), and the debiased loss up to that much too low."""
    geomloss = pytest.importorskip("geomloss")
    x, s, y, t = clouds
    a, b = s.softmax(0), t.softmax(0)
    ours = SamplesLoss("sinkhorn", p=p, blur=blur, debias=debias, scaling=0.9)(a, x, b, y)
    errors = []
    for scaling in (0.9, 0.99):
        theirs = geomloss.SamplesLoss("sinkhorn", p=p, blur=blur, debias=debias, scaling=scaling,
                                      backend="tensorized")(a, x, b, y)
        errors.append(abs(theirs - ours).item())
    assert errors[1] <= 1e-3 * abs(ours).item()
    assert errors[1] <= 0.2 * errors[0] + floor


@pytest.mark.parametrize(("p", "blur", "reach", "floor"), [(2, 0.5, 0.8, 0), (1, 0.3, 0.7, 1e-4)])
def test_reach_is_that_of_geomloss(masses, p, blur, reach, floor):
    geomloss = pytest.importorskip("geomloss")
    x, a, y, b = masses
    ours = SamplesLoss("sinkhorn", p=p, blur=blur, reach=reach)(a, x, b, y)
    errors = []
    for scaling in (0.9, 0.99):
        theirs = geomloss.SamplesLoss("sinkhorn", p=p, blur=blur, reach=reach, scaling=scaling,
                                      backend="tensorized")(a, x, b, y)
        errors.append(abs(theirs - ours).item())
    assert errors[1] <= 1e-3 * ours.item()
    assert errors[1] <= 0.2 * errors[0] + floor


@pytest.mark.parametrize(("options", "name"), [
    ({"reach": 1.0, "debias": False}, "debias"), ({"reach": -1.0}, "reach"),
    ({"loss": "gaussian"}, "loss"), ({"p": 3}, "p"), ({"potentials": True}, "potentials"),
    ({"cost": len}, "cost"), ({"blur": 0.0}, "blur")])
def test_what_samples_loss_does_not_do_is_refused(options, name):
    with pytest.raises(InputError, match=f"^{name}: "):
        SamplesLoss(**options)
