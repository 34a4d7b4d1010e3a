"""Conventions: every conversion against values computed from a plan, both ways, and the table."""

from __future__ import annotations

import functools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp, xlogy

from refot.arrays import InputError, ShapeError, TypeInputError, UnknownNameError, WeightError
from refot.conventions.convert import (
    CONVENTIONS,
    Convention,
    ConversionError,
    Divergence,
    EpsParameter,
    Evidence,
    PotentialForm,
    TheirCost,
    ValueKind,
    convention,
    divergence_from_refot,
    divergence_to_refot,
    eps_from_refot,
    eps_to_refot,
    potentials_from_refot,
    potentials_to_refot,
    problem_to_refot,
    result_from_refot,
    result_to_refot,
    value_from_refot,
    value_to_refot,
)
from refot.costs.ground import GROUND_COSTS
from refot.divergences import entropic_value, sinkhorn_divergence

DOCS = Path(__file__).resolve().parents[3] / "docs"
EPS = 0.5
INVERTIBLE = [PotentialForm.DENSITY, PotentialForm.PLAIN, PotentialForm.LOG_SCALING,
              PotentialForm.SCALING]

numbers = st.floats(-1e3, 1e3)
positive = st.floats(1e-3, 1e3)
seeds = st.integers(0, 2**32 - 1)


def weights(rng, n, zeros=0):
    w = rng.dirichlet(np.full(n, 3.0))
    w[:zeros] = 0
    return w / w.sum()


class Solved:
    """A converged solve by the plainest Sinkhorn there is: what conversions are judged by."""

    def __init__(self, C, a, b, eps):
        self.C, self.a, self.b, self.eps = C, a, b, eps
        self.f, self.g = np.zeros(len(a)), np.zeros(len(b))
        for _ in range(10_000):
            self.f = -eps * np.log(np.exp((self.g - C) / eps) @ b)
            self.g = -eps * np.log(a @ np.exp((self.f[:, None] - C) / eps))
            self.P = np.outer(a, b) * np.exp((self.f[:, None] + self.g - C) / eps)
            if abs(self.P.sum(1) - a).sum() < 1e-14:
                break
        assert abs(self.P.sum(1) - a).sum() < 1e-13
        self.kl = xlogy(self.P, self.P / np.where(np.outer(a, b) > 0, np.outer(a, b), 1)).sum()
        self.sharp = (self.P * C).sum()

    def value(self, kind):
        """The value of that kind by its own formula; none is derived from another."""
        if kind is ValueKind.KL:
            return self.sharp + self.eps * self.kl
        if kind is ValueKind.SHARP:
            return self.sharp
        if kind is ValueKind.ENTROPY:
            return self.sharp + self.eps * xlogy(self.P, self.P).sum()
        if kind is ValueKind.UNWEIGHTED_LSE:
            f = -self.eps * logsumexp((self.g - self.C) / self.eps, axis=1)
            return self.a @ f + self.g.mean()
        plain_f, plain_g = (p + self.eps * np.log(w)
                            for p, w in ((self.f, self.a), (self.g, self.b)))
        mass = np.exp((plain_f[:, None] + plain_g - self.C) / self.eps).sum()
        return self.eps * mass - self.a @ plain_f - self.b @ plain_g


def ground(name):
    return GROUND_COSTS["sqeuclidean" if name is None else name].matrix


RNG = np.random.default_rng(1)
X, Y, A, B = RNG.normal(size=(6, 2)), RNG.normal(size=(4, 2)), weights(RNG, 6), weights(RNG, 4)


@functools.cache
def three(name, scale, uniform=False):
    """The solves of (x,y), (x,x), (y,y) for `scale` times a ground cost at eps = scale * EPS."""
    a, b = (np.full(6, 1 / 6), np.full(4, 1 / 4)) if uniform else (A, B)
    pairs = ((X, Y, a, b), (X, X, a, a), (Y, Y, b, b))
    return tuple(Solved(scale * ground(name)(x, y), a, b, scale * EPS) for x, y, a, b in pairs)


def three_for(kind, name="sqeuclidean", scale=1.0):
    """`three` with weights for which that kind of value can be converted."""
    return three(name, scale, uniform=kind is ValueKind.UNWEIGHTED_LSE)


# ------------------------------------------------------------------ values
@pytest.mark.parametrize("kind", ValueKind)
def test_each_kind_of_value_is_converted_to_the_value_of_the_plan(kind):
    case = three_for(kind)[0]
    given = {"a": case.a, "b": case.b, "eps": EPS, "kl": case.kl}
    F = case.value(ValueKind.KL)
    assert value_to_refot(case.value(kind), kind, **given) == pytest.approx(F, abs=1e-13)
    assert value_from_refot(F, kind, **given) == pytest.approx(case.value(kind), abs=1e-13)


def test_the_kinds_are_different_numbers():
    values = sorted(three("sqeuclidean", 1.0, uniform=True)[0].value(kind) for kind in ValueKind)
    assert min(np.diff(values)) > 1e-2


def test_the_value_of_refot_is_of_the_kind_that_the_table_says():
    case = three("sqeuclidean", 1.0)[0]
    F = entropic_value(case.C, case.a, case.b, EPS)
    assert case.value(CONVENTIONS["refot"].value) == pytest.approx(F, abs=1e-9)


def weights_that_fit(kind, rng, n, zeros):
    return np.full(n, 1 / n) if kind is ValueKind.UNWEIGHTED_LSE else weights(rng, n, zeros)


@given(v=numbers, eps=positive, kl=st.floats(0, 10), seed=seeds, kind=st.sampled_from(ValueKind))
def test_values_make_the_round_trip(v, eps, kl, seed, kind):
    rng = np.random.default_rng(seed)
    a, b = weights_that_fit(kind, rng, 3, zeros=1), weights_that_fit(kind, rng, 5, zeros=0)
    given = {"a": a, "b": b, "eps": eps, "kl": kl}
    F = value_to_refot(v, kind, **given)
    assert value_from_refot(F, kind, **given) == pytest.approx(v, abs=1e-9)


def test_a_weight_of_zero_adds_nothing_to_the_entropies():
    with_zero = value_to_refot(1.0, "entropy", a=[0.5, 0.0, 0.5], b=[0.0, 1.0], eps=2.0)
    assert with_zero == value_to_refot(1.0, "entropy", a=[0.5, 0.5], b=[1.0], eps=2.0)
    assert with_zero == pytest.approx(1 + 2 * math.log(2), abs=1e-15)


def test_a_sharp_value_without_kl_says_what_is_missing():
    for convert in (value_to_refot, value_from_refot):
        with pytest.raises(ConversionError, match="give kl"):
            convert(1.0, ValueKind.SHARP, a=[1.0], b=[1.0], eps=1.0)


def test_an_unweighted_value_of_other_than_uniform_weights_has_no_conversion():
    with pytest.raises(ConversionError, match="uniform b only"):
        value_to_refot(1.0, ValueKind.UNWEIGHTED_LSE, a=[1.0], b=[0.4, 0.6], eps=1.0)


@pytest.mark.parametrize(("change", "error"), [
    ({"kind": "linear"}, UnknownNameError),
    ({"value": math.nan}, InputError),
    ({"value": "one"}, TypeInputError),
    ({"eps": 0.0}, InputError),
    ({"a": [0.5, 0.6]}, WeightError),
    ({"b": [1.5, -0.5]}, WeightError),
    ({"kl": -1.0, "kind": "sharp"}, InputError),
])
def test_bad_input_of_a_value_is_named(change, error):
    good = {"value": 1.0, "kind": "entropy", "a": [0.5, 0.5], "b": [1.0], "eps": 1.0}
    with pytest.raises(error):
        value_to_refot(**(good | change))


# ------------------------------------------------------------------ divergences
FORMS = [Divergence.HALVES, Divergence.HALVES_CLAMPED, Divergence.TWICE]


def as_form(xy, xx, yy, form):
    halves = xy - xx / 2 - yy / 2
    return {Divergence.HALVES: halves, Divergence.HALVES_CLAMPED: max(0, halves),
            Divergence.TWICE: 2 * xy - xx - yy}[form]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ValueKind)
def test_each_divergence_is_converted_to_b9(kind, form):
    terms = three_for(kind)
    S = as_form(*(term.value(ValueKind.KL) for term in terms), Divergence.HALVES)
    theirs = as_form(*(term.value(kind) for term in terms), form)
    kl = tuple(term.kl for term in terms)
    given = {"a": terms[0].a, "b": terms[0].b, "eps": EPS, "kl": kl}
    if theirs > 0:
        assert divergence_to_refot(theirs, form, kind, **given) == pytest.approx(S, abs=1e-12)
    assert divergence_from_refot(S, form, kind, **given) == pytest.approx(theirs, abs=1e-12)


def test_the_divergence_of_refot_is_of_the_form_that_the_table_says():
    S = as_form(*(term.value(ValueKind.KL) for term in three("sqeuclidean", 1.0)),
                CONVENTIONS["refot"].divergence)
    assert sinkhorn_divergence(X, A, Y, B, EPS) == pytest.approx(S, abs=1e-8)


@given(v=numbers, kl=st.tuples(*[st.floats(0, 10)] * 3), seed=seeds,
       kind=st.sampled_from(ValueKind), form=st.sampled_from([Divergence.HALVES, Divergence.TWICE]))
def test_divergences_make_the_round_trip(v, kl, seed, kind, form):
    rng = np.random.default_rng(seed)
    a, b = weights_that_fit(kind, rng, 3, zeros=0), weights_that_fit(kind, rng, 5, zeros=2)
    given = {"a": a, "b": b, "eps": EPS, "kl": kl}
    S = divergence_to_refot(v, form, kind, **given)
    assert divergence_from_refot(S, form, kind, **given) == pytest.approx(v, abs=1e-9)


@given(S=numbers, kind=st.sampled_from([ValueKind.KL, ValueKind.ENTROPY]))
def test_twice_is_two_halves_and_entropies_cancel(S, kind):
    given = {"a": [0.2, 0.8], "b": [0.5, 0.25, 0.25], "eps": EPS}
    halves = divergence_from_refot(S, Divergence.HALVES, kind, **given)
    assert divergence_from_refot(S, Divergence.TWICE, kind, **given) == 2 * halves
    assert halves == pytest.approx(S, abs=1e-12)


def test_a_divergence_that_was_clamped_away_is_not_made_up():
    with pytest.raises(ConversionError, match="clamped"):
        divergence_to_refot(0.0, Divergence.HALVES_CLAMPED, "KL", a=[1.0], b=[1.0], eps=1.0)
    clamped = divergence_from_refot(-1.0, "halves, clamped", "KL", a=[1.0], b=[1.0], eps=1.0)
    assert clamped == 0.0


def test_one_value_is_not_a_divergence():
    for convert in (divergence_to_refot, divergence_from_refot):
        with pytest.raises(ConversionError, match="not a divergence"):
            convert(1.0, Divergence.NONE, "KL", a=[1.0], b=[1.0], eps=1.0)


@pytest.mark.parametrize("kl", [0.1, (0.1, 0.2)])
def test_a_sharp_divergence_needs_three_relative_entropies(kl):
    with pytest.raises(ShapeError, match="KL_xy"):
        divergence_to_refot(1.0, "twice", "sharp", a=[1.0], b=[1.0], eps=1.0, kl=kl)
    with pytest.raises(ConversionError, match="give kl"):
        divergence_to_refot(1.0, "twice", "sharp", a=[1.0], b=[1.0], eps=1.0)


# ------------------------------------------------------------------ potentials
def plan_of(u, v, form, C, a, b, eps):
    """The plan by the formula of the form."""
    if form is PotentialForm.DENSITY:
        return np.outer(a, b) * np.exp((u[:, None] + v - C) / eps)
    if form is PotentialForm.PLAIN:
        return np.exp((u[:, None] + v - C) / eps)
    if form is PotentialForm.LOG_SCALING:
        return np.exp(u[:, None] + v - C / eps)
    return u[:, None] * np.exp(-C / eps) * v


@pytest.mark.parametrize("zeros", [0, 2])
@pytest.mark.parametrize("form", INVERTIBLE)
def test_potentials_of_each_form_give_the_same_plan_and_come_back(form, zeros):
    rng = np.random.default_rng(7)
    a, b = weights(rng, 6, zeros), weights(rng, 4, zeros // 2)
    case = Solved(rng.uniform(0, 2, size=(6, 4)), a, b, EPS)
    u, v = potentials_from_refot(case.f, case.g, form, a, b, EPS)
    np.testing.assert_allclose(plan_of(u, v, form, case.C, a, b, EPS), case.P, atol=1e-15)
    f, g = potentials_to_refot(u, v, form, a, b, EPS, C=case.C)
    np.testing.assert_allclose(f, case.f, atol=1e-12)
    np.testing.assert_allclose(g, case.g, atol=1e-12)


@given(seed=seeds, eps=st.floats(0.05, 50), form=st.sampled_from(INVERTIBLE))
def test_any_potentials_make_the_round_trip(seed, eps, form):
    rng = np.random.default_rng(seed)
    a, b = weights(rng, 3), weights(rng, 5)
    f, g = rng.normal(size=3), rng.normal(size=5)
    back = potentials_to_refot(*potentials_from_refot(f, g, form, a, b, eps), form, a, b, eps)
    np.testing.assert_allclose(np.concatenate(back), np.concatenate([f, g]), atol=1e-11)


@pytest.mark.parametrize(("form", "empty"), [("plain", -np.inf), ("log scaling", -np.inf),
                                             ("scaling", 0.0)])
def test_a_weight_of_zero_holds_no_potential_until_the_cost_is_given(form, empty):
    a, b, C = [0.0, 1.0], [0.25, 0.75], [[5.0, 2.0], [0.0, 1.0]]
    u, v = potentials_from_refot([3.0, 0.5], [0.0, 0.2], form, a, b, EPS)
    assert u[0] == empty
    assert np.isfinite(u[1])
    assert np.isfinite(v).all()
    with pytest.raises(ConversionError, match="give C"):
        potentials_to_refot(u, v, form, a, b, EPS)
    f, g = potentials_to_refot(u, v, form, a, b, EPS, C=C)
    assert f[0] == pytest.approx(-EPS * logsumexp((g - C[0]) / EPS, b=b), abs=1e-14)
    assert f[1] == pytest.approx(0.5, abs=1e-14)
    np.testing.assert_allclose(g, [0.0, 0.2], atol=1e-14)


def test_what_a_library_leaves_at_a_weight_of_zero_is_ignored():
    a, b, C = [0.0, 1.0], [0.25, 0.75], [[5.0, 2.0], [0.0, 1.0]]
    kept = [potentials_to_refot([junk, 0.5], [0.0, 0.2], "plain", a, b, EPS, C=C)
            for junk in (-np.inf, np.nan, 7.0)]
    np.testing.assert_array_equal(kept[0][0], kept[1][0])
    np.testing.assert_array_equal(kept[0][0], kept[2][0])


def test_infinite_potentials_where_there_is_mass_are_refused():
    for bad in (-np.inf, np.nan):
        with pytest.raises(InputError, match=r"f: .* at \[1\]"):
            potentials_to_refot([0.0, bad], [0.0], "log scaling", [0.5, 0.5], [1.0], EPS)
    with pytest.raises(InputError, match="scalings > 0"):
        potentials_to_refot([1.0, 0.0], [1.0], "scaling", [0.5, 0.5], [1.0], EPS)


@pytest.mark.parametrize("f", [1.0, -1.0])
def test_a_scaling_out_of_range_is_refused_and_not_returned(f):
    with pytest.raises(ConversionError, match="use the log scaling"):
        potentials_from_refot([f], [0.0], "scaling", [1.0], [1.0], 1e-3)
    u, _ = potentials_from_refot([f], [0.0], "log scaling", [1.0], [1.0], 1e-3)
    assert u[0] == pytest.approx(1e3 * f)


@pytest.mark.parametrize(("form", "message"), [("debiased", "add p and q"), ("none", "solve with")])
def test_forms_without_a_plan_say_what_is_needed(form, message):
    for convert in (potentials_to_refot, potentials_from_refot):
        with pytest.raises(ConversionError, match=message):
            convert([0.0], [0.0], form, [1.0], [1.0], EPS)


def test_shapes_of_potentials_are_checked():
    for form in INVERTIBLE:
        with pytest.raises(ShapeError, match="g"):
            potentials_to_refot([1.0], [1.0, 1.0], form, [1.0], [1.0], EPS)
    with pytest.raises(ShapeError, match="C"):
        potentials_to_refot([0.0, 0.0], [0.0], "plain", [0.0, 1.0], [1.0], EPS, C=np.ones((1, 2)))


def test_float32_potentials_stay_float32():
    a, f = np.full(2, 0.5, dtype=np.float32), np.ones(2, dtype=np.float32)
    for form in INVERTIBLE:
        pair = potentials_from_refot(f, f, form, a, a, EPS)
        back = potentials_to_refot(*pair, form, a, a, EPS)
        assert {array.dtype for array in (*pair, *back)} == {np.dtype(np.float32)}


# ------------------------------------------------------------------ eps, cost, and all of it
CALLS = [(row.name, cost.name) for row in CONVENTIONS.values() for cost in row.costs]


def scale_of(name, cost):
    """What must be said of a cost that depends on the data: any positive number, here."""
    chosen = {each.name: each for each in CONVENTIONS[name].costs}[cost]
    return 0.3 if chosen.scale is None else None


@given(eps=positive, call=st.sampled_from(CALLS))
def test_eps_makes_the_round_trip(eps, call):
    name, cost = call
    scale = scale_of(name, cost)
    parameter = eps_from_refot(name, eps, cost, scale=scale)
    assert eps_to_refot(name, parameter, cost, scale=scale) == pytest.approx(eps, rel=1e-14)


@pytest.mark.parametrize(("name", "parameter", "cost", "eps", "scale"), [
    ("refot", 0.3, None, 0.3, 1.0),
    ("geomloss.SamplesLoss(p=2)", 0.5, None, 0.5, 0.5),  # |x - y|^2 / 2 at 1/4 is |x - y|^2 at 1/2
    ("geomloss.SamplesLoss(p=1)", 0.5, None, 0.5, 1.0),
    ("geomloss.ot.solve_sample", 0.5, None, 0.5, 1.0),
    ("geomloss.ot.solve_sample(blur)", 0.5, None, 0.5, 1.0),
    ("flash_sinkhorn.SamplesLoss", 0.5, None, 0.25, 1.0),
    ("flash_sinkhorn.SamplesLoss", 0.5, "half_cost=True", 0.5, 0.5),
    ("mdot_tnt.solve_OT", 20.0, None, 0.05, 1.0),
    ("ott.reg_ot_cost", 0.3, "SqPNorm(2)", 0.6, 0.5),
    ("pot.sinkhorn2", 0.3, None, 0.3, 1.0),
])
def test_eps_and_scale_of_known_calls(name, parameter, cost, eps, scale):
    found = problem_to_refot(name, parameter, cost)
    assert found.eps == pytest.approx(eps, rel=1e-15)
    assert found.scale == scale


def test_h_divides_the_cost_by_alpha_which_rescales_eps():
    alpha, lam = (Y**2).sum(1).mean(), 0.4
    C = ground("sqeuclidean")(X, Y)
    theirs = Solved(C / alpha, A, B, lam).value(ValueKind.KL)
    F, found = result_to_refot("H", theirs, lam, a=A, b=B, cost="|x - y|^2 / alpha",
                               scale=1 / alpha)
    assert found.eps == pytest.approx(alpha * lam, rel=1e-15)
    assert Solved(C, A, B, alpha * lam).value(ValueKind.KL) == pytest.approx(F, abs=1e-12)


@pytest.mark.parametrize(("name", "cost"), CALLS)
def test_what_each_call_returns_is_converted_to_refots_number(name, cost):
    """Solve as the row says that they do, in their units; convert; compare with refot's problem."""
    row, scale = CONVENTIONS[name], scale_of(name, cost)
    if row.value is None:
        with pytest.raises(ConversionError, match="returns a plan"):
            result_to_refot(name, 1.0, 0.7, a=[1.0], b=[1.0], cost=cost)
        return
    parameter = eps_from_refot(name, EPS, cost, scale=scale)
    found = problem_to_refot(name, parameter, cost, scale=scale)
    theirs = three_for(row.value, found.ground, found.scale)
    refots = three_for(row.value, found.ground)
    if row.divergence is Divergence.NONE:
        returned, kl = theirs[0].value(row.value), theirs[0].kl
        expected = refots[0].value(ValueKind.KL)
    else:
        returned = as_form(*(term.value(row.value) for term in theirs), row.divergence)
        expected = as_form(*(term.value(ValueKind.KL) for term in refots), Divergence.HALVES)
        kl = tuple(term.kl for term in theirs)
    given = {"a": refots[0].a, "b": refots[0].b, "cost": cost, "scale": scale, "kl": kl}
    number, _ = result_to_refot(name, returned, parameter, **given)
    assert number == pytest.approx(expected, abs=1e-11)
    assert result_from_refot(name, expected, EPS, **given) == pytest.approx(
        (returned, parameter), abs=1e-11)


def test_costs_are_chosen_by_their_own_names():
    with pytest.raises(UnknownNameError, match=r"SqPNorm\(2\)"):
        eps_to_refot("ott.reg_ot_cost", 1.0, "l2")
    with pytest.raises(ConversionError, match="depends on the data"):
        eps_to_refot("sdot.SDOT", 1.0)
    with pytest.raises(TypeInputError, match="scale"):
        eps_to_refot("refot", 1.0, scale=2.0)
    with pytest.raises(InputError, match="blur"):
        eps_to_refot("geomloss.SamplesLoss(p=2)", -1.0)


# ------------------------------------------------------------------ the table
def test_a_convention_can_be_named_or_made():
    mine = Convention(
        name="mine", library="mine", call="mine(x)", version="1", checked=Evidence.READ,
        value=ValueKind.SHARP, costs=(TheirCost("third", "sqeuclidean", 1 / 3),), parameter="T",
        eps=EpsParameter.GAMMA, stopping="none", source="here",
    )
    assert convention(mine) is mine
    assert eps_to_refot(mine, 4.0) == pytest.approx(0.75)
    assert convention("pot.solve") is CONVENTIONS["pot.solve"]
    with pytest.raises(UnknownNameError, match=r"pot\.solve"):
        convention("pot")


@pytest.mark.parametrize("name", CONVENTIONS)
def test_each_row_is_complete(name):
    row = CONVENTIONS[name]
    assert row.name == name
    assert all((row.library, row.call, row.version, row.parameter, row.stopping, row.source))
    assert bool(row.defaults_of) == bool(row.defaults)
    assert {cost.ground for cost in row.costs} <= {None, *GROUND_COSTS}
    assert len({cost.name for cost in row.costs}) == len(row.costs) > 0
    assert isinstance(hash(row), int)


def test_papers_are_in_the_bibliography():
    keys = set(re.findall(r"@\w+\{([^,]+),", (DOCS / "references.bib").read_text("utf-8")))
    cited = {row.source.partition(",")[0] for row in CONVENTIONS.values() if row.library == "paper"}
    assert len(cited) == 4
    assert cited <= keys


def cost_in_words(cost):
    if cost.ground is None:
        return f"{cost.name} as given"
    scale = "data" if cost.scale is None else f"{cost.scale:g}"
    return f"{cost.name}: {scale} × {cost.ground}"


def table_row(row):
    costs = "; ".join(cost_in_words(cost) for cost in row.costs).replace("|", "\\|")
    eps = row.parameter if row.eps is EpsParameter.EPS else f"{row.parameter}: {row.eps}"
    value = row.value or "plan only"
    return (f"| `{row.name}` | {value} | {row.divergence} | {costs} | {eps} | {row.potentials} | "
            f"{row.version}, {row.checked} |")


def list_item(row):
    note = f" Note: {row.note}." if row.note else ""
    return f"- `{row.name}`. Stops: {row.stopping}.{note}"


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_page_shows_each_row_as_it_is(name):
    lines = (DOCS / "conventions.md").read_text("utf-8").splitlines()
    assert table_row(CONVENTIONS[name]) in lines
    assert list_item(CONVENTIONS[name]) in lines


def test_the_page_shows_no_row_that_is_gone():
    page = (DOCS / "conventions.md").read_text("utf-8")
    assert set(re.findall(r"^(?:\| |- )`([^`]+)`", page, re.MULTILINE)) == set(CONVENTIONS)
