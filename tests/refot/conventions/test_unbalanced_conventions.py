"""Conventions of unbalanced transport: rho, the reference of KL, the value, and the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refot
from refot.arrays import InputError, ShapeError, UnknownNameError
from refot.conventions.convert import CONVENTIONS, ConversionError
from refot.conventions.unbalanced import (
    UNBALANCED_CONVENTIONS,
    Reference,
    UnbalancedPotentials,
    UnbalancedValue,
    balanced_row,
    declared_name,
    parameter_from_rho,
    parameters_from_refot,
    rho_from_parameter,
    rho_to_refot,
    their_cost_matrix,
    unbalanced_convention,
    unbalanced_potentials_to_refot,
    unbalanced_value_to_refot,
)
from refot.objectives import kl

DOCS = Path(__file__).resolve().parents[3] / "docs"
RNG = np.random.default_rng(5)
C = RNG.uniform(0, 3, size=(5, 4))
A, B = 1.5 * RNG.dirichlet(np.ones(5)), 0.625 * RNG.dirichlet(np.ones(4))
EPS, RHO = 0.3, 0.8
M_A, M_B = 1.5, 0.625


def optimum(cost: Any) -> tuple[Any, Any, Any]:
    """f, g and P on this cost."""
    solved = refot.solve(cost, A, B, EPS, rho=RHO, tol=1e-13, max_iter=100_000)
    return solved.f, solved.g, refot.unbalanced_plan(solved.f, solved.g, cost, A, B, EPS)


F, G, P = optimum(C)
U = refot.unbalanced_primal(P, C, A, B, EPS, RHO)


def penalties(plan: Any) -> float:
    return RHO * sum(kl(p, w) - p.sum() + w.sum() for p, w in (
        (plan.sum(1), A), (plan.sum(0), B)))


# ------------------------------------------------------------------ rho
positive = st.floats(1e-3, 1e3)


@given(rho=positive, eps=positive, name=st.sampled_from(sorted(UNBALANCED_CONVENTIONS)))
def test_rho_makes_the_round_trip(rho: float, eps: float, name: str) -> None:
    back = rho_from_parameter(name, parameter_from_rho(name, rho, eps), eps)
    assert back == pytest.approx(rho, rel=1e-9)
    theirs = parameters_from_refot(name, eps, rho)
    assert rho_to_refot(name, theirs.rho, theirs.eps) == pytest.approx((rho, eps), rel=1e-9)


@pytest.mark.parametrize(("name", "parameter", "of_eps"), [
    ("refot", 2.0, 0.5),
    ("pot.sinkhorn_unbalanced", 2.0, 0.5),
    ("ott.reg_ot_cost(tau)", 2 / 2.5, 0.5),
    ("geomloss.SamplesLoss(p=2, reach)", 1.0, 0.5),  # |x - y|^2 / 2: rho = 1 = reach^2
    ("geomloss.SamplesLoss(p=1, reach)", 2.0, 0.5),
    ("geomloss.ot.solve_sample(reach)", 1.0, 0.5),  # rho = 2 reach^2 on |x - y|^2
    ("flash_sinkhorn.SamplesLoss(reach)", 2**0.5, 0.5**0.5),
])
def test_known_calls_at_eps_a_half_and_rho_two(name: str, parameter: float, of_eps: float) -> None:
    theirs = parameters_from_refot(name, 0.5, 2.0)
    assert theirs.rho == pytest.approx(parameter, rel=1e-15)
    assert theirs.eps == pytest.approx(of_eps, rel=1e-15)


def test_what_is_no_parameter_is_refused() -> None:
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="reach"):
            rho_from_parameter("geomloss.SamplesLoss(p=2, reach)", wrong, 0.5)
    with pytest.raises(InputError, match="tau"):
        rho_from_parameter("ott.reg_ot_cost(tau)", 1.0, 0.5)
    with pytest.raises(UnknownNameError, match=r"pot\.sinkhorn_unbalanced"):
        unbalanced_convention("pot.sinkhorn")


# ------------------------------------------------------------------ KL to 1
def test_kl_to_one_on_the_shifted_cost_has_the_plan_of_kl_to_the_product() -> None:
    shifted = their_cost_matrix("pot.sinkhorn_unbalanced(entropy)", C, A, B, EPS)
    plain = np.exp((F[:, None] + G - shifted) / EPS)  # f, g are its plain potentials
    np.testing.assert_allclose(plain, P, rtol=1e-12)
    # stationary: C' + eps log P + rho log(P1 / a) + rho log(P'1 / b) = 0 for every pair
    slope = (shifted + EPS * np.log(P) + RHO * np.log(P.sum(1) / A)[:, None]
             + RHO * np.log(P.sum(0) / B))
    assert abs(slope).max() < 1e-8
    assert their_cost_matrix("refot", C, A, B, EPS) is C


def test_an_atom_without_mass_keeps_its_cost() -> None:
    b0 = np.append(B, 0.0)
    shifted = their_cost_matrix("pot.sinkhorn_unbalanced(entropy)", np.c_[C, C[:, 0]], A, b0, EPS)
    np.testing.assert_allclose(shifted[:, -1], C[:, 0] - EPS * np.log(A))


# ------------------------------------------------------------------ values
VALUES = {
    UnbalancedValue.FULL: U,
    UnbalancedValue.SHARP: float((C * P).sum()),
    UnbalancedValue.UNIT_MASSES: U + EPS * ((M_A + M_B) / 2 - M_A * M_B),
}


@pytest.mark.parametrize("name", UNBALANCED_CONVENTIONS)
def test_what_each_call_returns_is_converted_to_u(name: str) -> None:
    row = UNBALANCED_CONVENTIONS[name]
    given = {"a": A, "b": B, "eps": EPS}
    if row.value not in VALUES:
        with pytest.raises(ConversionError, match=r"0 at every optimum|returns a plan"):
            unbalanced_value_to_refot(name, 1.0, **given)
        return
    returned, beside = VALUES[row.value], None
    if row.reference is Reference.ONES:
        shifted = their_cost_matrix(name, C, A, B, EPS)
        entropy = float((P * np.log(P)).sum() - P.sum())
        returned = float((shifted * P).sum()) + EPS * entropy + penalties(P)
    if row.value is UnbalancedValue.SHARP:
        with pytest.raises(ConversionError, match="give beside"):
            unbalanced_value_to_refot(name, returned, **given)
        beside = U - returned
    found = unbalanced_value_to_refot(name, returned, **given, beside=beside)
    assert found == pytest.approx(U, abs=1e-12)


def test_without_its_mass_terms_the_value_is_zero() -> None:
    terms = (C * P).sum() + EPS * kl(P, np.outer(A, B)) + RHO * (
        kl(P.sum(1), A) + kl(P.sum(0), B))
    assert abs(terms) < 1e-10  # what POT returns (finding P18)


# ------------------------------------------------------------------ potentials
def test_potentials_of_each_form_are_converted() -> None:
    given: dict[UnbalancedPotentials, tuple[Any, Any]] = {
        UnbalancedPotentials.DENSITY: (F, G),
        UnbalancedPotentials.LOG_DENSITY: (F / EPS, G / EPS),
        UnbalancedPotentials.PLAIN: (F + EPS * np.log(A), G + EPS * np.log(B)),
    }
    for name, row in UNBALANCED_CONVENTIONS.items():
        if row.potentials is UnbalancedPotentials.NONE:
            with pytest.raises(ConversionError, match="no potentials"):
                unbalanced_potentials_to_refot(name, F, G, A, B, EPS)
            continue
        pair = given[row.potentials]
        if (row.potentials, row.reference) == (UnbalancedPotentials.PLAIN, Reference.ONES):
            pair = F, G  # on the shifted cost the weights are in the cost
        found = unbalanced_potentials_to_refot(name, *pair, A, B, EPS)
        np.testing.assert_allclose(np.concatenate(found), np.concatenate((F, G)), atol=1e-12)
    with pytest.raises(ShapeError):
        unbalanced_potentials_to_refot("refot", F[1:], G, A, B, EPS)


# ------------------------------------------------------------------ the table
@pytest.mark.parametrize("name", UNBALANCED_CONVENTIONS)
def test_each_row_is_complete(name: str) -> None:
    row = UNBALANCED_CONVENTIONS[name]
    assert row.name == name
    assert row.balanced in CONVENTIONS
    assert all((row.library, row.call, row.version, row.parameter, row.source))
    assert declared_name(name) == declared_name(row) == name
    assert balanced_row(name).library in (row.library, "refot")


def test_a_declared_name_is_one_of_either_table() -> None:
    assert balanced_row("pot.solve") is CONVENTIONS["pot.solve"]
    assert balanced_row("refot") is CONVENTIONS["refot"]
    with pytest.raises(UnknownNameError, match="convention"):
        declared_name("no-such-convention")


def test_the_page_shows_each_row_and_none_that_is_gone() -> None:
    page = (DOCS / "unbalanced.md").read_text("utf-8")
    shown = re.findall(r"^\| `([^`]+)` .*$", page, re.MULTILINE)
    assert shown == list(UNBALANCED_CONVENTIONS)
    for row in UNBALANCED_CONVENTIONS.values():
        assert (f"| `{row.name}` | {row.parameter} | {row.rho} | {row.reference} | {row.value} | "
                f"{row.potentials} | {row.version}, {row.checked} |") in page
