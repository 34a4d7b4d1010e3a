"""The rows of CONVENTIONS for MDOT-TNT, regot and flash-sinkhorn, run where these are installed.

As in test_conventions_peers: what a call returns in its own units, converted as its row says, must
be refot's; and its defaults must be those of the row.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import numpy as np
import pytest

import refot
from refot.conventions.convert import (
    CONVENTIONS,
    PotentialForm,
    eps_from_refot,
    potentials_to_refot,
    result_to_refot,
)

pytestmark = [pytest.mark.peers]

RNG = np.random.default_rng(3)
C = RNG.uniform(size=(7, 5))
A, B = RNG.dirichlet(np.full(7, 3.0)), RNG.dirichlet(np.full(5, 3.0))
EPS = 0.25
SOLVED = refot.solve(C, A, B, EPS, tol=1e-14)
PLAN = refot.plan(SOLVED.f, SOLVED.g, C, A, B, EPS)
F = float(A @ SOLVED.f + B @ SOLVED.g)


def needed(package):
    return pytest.importorskip(package, reason=f"needs {package}, which is not installed")


def plan_from(f, g, form):
    f, g = potentials_to_refot(f, g, form, A, B, EPS)
    return np.outer(A, B) * np.exp((f[:, None] + g - C) / EPS)


# ------------------------------------------------------------------ what is returned
@pytest.mark.parametrize("solver", ["bcd", "newton", "ssns"])
def test_regot_returns_the_negated_dual_and_plain_potentials(solver):
    """At its tol = 1e-12 the value is right to its square, the plan to it."""
    regot = needed("regot")
    row = CONVENTIONS["regot.sinkhorn"]
    solved = getattr(regot, f"sinkhorn_{solver}")(np.asfortranarray(C), A, B, EPS, tol=1e-12)
    value, problem = result_to_refot("regot.sinkhorn", solved.obj_vals[-1], EPS, a=A, b=B)
    assert problem.eps == EPS
    assert value == pytest.approx(F, abs=1e-12)
    f, g = solved.dual[:7], np.append(solved.dual[7:], 0.0)
    np.testing.assert_allclose(plan_from(f, g, row.potentials), PLAN, atol=1e-10)
    np.testing.assert_allclose(solved.plan, PLAN, atol=1e-10)


def test_mdot_tnt_returns_the_sharp_value_of_its_plan_and_log_scalings():
    """Of the plan of solve_OT exactly; of the plan of gamma by the tolerance that p sets: 1e-10."""
    mdot_tnt, torch = needed("mdot_tnt"), needed("torch")
    row, gamma = CONVENTIONS["mdot_tnt.solve_OT"], eps_from_refot("mdot_tnt.solve_OT", EPS)
    assert gamma == 1 / EPS
    problem = [torch.tensor(each) for each in (A, B, C)]
    cost = float(mdot_tnt.solve_OT(*problem, gamma_f=gamma))
    its_plan = mdot_tnt.solve_OT(*problem, gamma_f=gamma, return_plan=True).numpy()
    assert cost == pytest.approx((its_plan * C).sum(), abs=1e-12)
    assert abs(its_plan.sum(0) - B).sum() < 1e-12  # rounded
    u, v, reached, _, _ = mdot_tnt.mdot(*problem, gamma, p=16.0)
    assert reached == gamma
    np.testing.assert_allclose(plan_from(u.numpy(), v.numpy(), row.potentials), PLAN, atol=1e-9)


def test_mdot_tnt_stops_where_its_row_says():
    """The 1-norm error of its potentials is within min(H(r), H(c)) / gamma^1.5, and not far."""
    mdot_tnt, torch = needed("mdot_tnt"), needed("torch")
    gamma = 50.0
    u, v, *_ = mdot_tnt.mdot(*(torch.tensor(each) for each in (A, B, C)), gamma)
    P = np.exp(u.numpy()[:, None] + v.numpy() - gamma * C)
    error = abs(P.sum(0) - B).sum() + abs(P.sum(1) - A).sum()
    allowed = min(refot.entropy(A), refot.entropy(B)) / gamma**1.5
    assert allowed / 20 < error < 2 * allowed
    assert inspect.signature(mdot_tnt.mdot).parameters["p"].default == 1.5


# ------------------------------------------------------------------ defaults
def documented(function):
    """Defaults of a compiled function, from the signature in the first line of its text."""
    return {name: ast.literal_eval(value)
            for name, value in re.findall(r"(\w+): \w+ = ([^,)]+)", function.__doc__)}


@pytest.mark.parametrize("name", ["regot.sinkhorn", "mdot_tnt.solve_OT",
                                  "flash_sinkhorn.SamplesLoss"])
def test_defaults_are_those_of_the_row(name):
    row = CONVENTIONS[name]
    package, _, attribute = row.defaults_of.partition(":")
    needed(package)
    function = getattr(importlib.import_module(package), attribute)
    if package == "regot":
        found = documented(function)
    else:
        signature = inspect.signature(function).parameters
        found = {key: signature[key].default for key in row.defaults if key in signature}
    assert found == row.defaults
    assert row.potentials is not PotentialForm.NONE


def test_defaults_are_read_from_a_text():
    def compiled():
        """f(M: array[m, n], reg: float, tol: float = 1e-06, max_iter: int = 9, **kwargs) -> R"""

    assert documented(compiled) == {"tol": 1e-6, "max_iter": 9}
