"""Tables for the pages of equations: what papers and libraries return for one problem."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np

import refot
from refot.conventions.convert import (
    CONVENTIONS,
    Convention,
    Divergence,
    PotentialForm,
    divergence_from_refot,
    eps_from_refot,
    value_from_refot,
)

EPS = 0.5


@cache
def example() -> SimpleNamespace:
    """The problem of docs/errata.md: 6 points against 4 in the plane, |x - y|^2, eps = 1/2."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 2)), rng.normal(size=(4, 2)) + 0.5
    a, b = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(4))
    return SimpleNamespace(x=x, y=y, a=a, b=b, F=value(x, a, y, b)[0], KL=value(x, a, y, b)[1],
                           KLxx=value(x, a, x, a)[1], KLyy=value(y, b, y, b)[1],
                           S=refot.sinkhorn_divergence(x, a, y, b, EPS, tol=1e-12))


def value(x: refot.measures.Points, a: np.ndarray, y: np.ndarray, b: np.ndarray
          ) -> tuple[float, float]:
    """F, and the KL of its plan."""
    C = refot.point_cost(x, y)
    solved = refot.solve(C, a, b, EPS, tol=1e-12)
    P = refot.plan(solved.f, solved.g, C, a, b, EPS)
    return refot.primal(P, C.dense(), a, b, EPS), refot.kl(P, np.outer(a, b))


def conventions_table(topic: str) -> str:
    """The table for "value", "divergence" or "potentials", with a sentence before it."""
    lines = {"value": values, "divergence": divergences, "potentials": potentials}[topic]()
    return "\n".join([*lines, "", "How each stops, and which version was compared: "
                      "[conventions](../conventions.md)."])


def values() -> list[str]:
    """What each calls the value, on the example."""
    e = example()
    lines = [f"For the 6 points against 4 of the [errata](../errata.md), cost |x - y|², "
             f"eps = {EPS}, refot's F is {e.F:.6f}. The same problem elsewhere:", "",
             "| call | parameter | returns | which is |", "|---|---|---|---|"]
    for row in CONVENTIONS.values():
        if row.value is None or row.returns_divergence:
            continue
        scale = scale_of(row)
        if scale is None:
            continue
        number = value_from_refot(scale * e.F, row.value, a=e.a, b=e.b,
                                  eps=scale * EPS, kl=e.KL)
        lines.append(f"| {call(row)} | {parameter(row)} | {number:.6f} | "
                     f"the {row.value} value{times(scale)} |")
    return lines


def divergences() -> list[str]:
    """What each calls the divergence, on the example."""
    e = example()
    lines = [f"For the 6 points against 4 of the [errata](../errata.md), cost |x - y|², "
             f"eps = {EPS}, refot's S (B-9) is {e.S:.6f}. The same problem elsewhere:", "",
             "| call | parameter | returns | which is |", "|---|---|---|---|"]
    for row in CONVENTIONS.values():
        scale = scale_of(row)
        if row.value is None or row.divergence is Divergence.NONE or scale is None:
            continue
        number = divergence_from_refot(scale * e.S, row.divergence, row.value, a=e.a, b=e.b,
                                       eps=scale * EPS, kl=(e.KL, e.KLxx, e.KLyy))
        lines.append(f"| {call(row)} | {parameter(row)} | {number:.6f} | "
                     f"{MADE[row.divergence]} of {row.value} values{times(scale)} |")
    return lines


MADE = {
    Divergence.HALVES: "xy - xx/2 - yy/2",
    Divergence.HALVES_CLAMPED: "the same, at least 0,",
    Divergence.TWICE: "2 xy - xx - yy",
}

FORMS = {
    PotentialForm.DENSITY: r"$P_{ij}=a_ib_j\,e^{(f_i+g_j-C_{ij})/\varepsilon}$",
    PotentialForm.PLAIN: r"$P_{ij}=e^{(f_i+g_j-C_{ij})/\varepsilon}$",
    PotentialForm.LOG_SCALING: r"$P_{ij}=e^{u_i+v_j-C_{ij}/\varepsilon}$",
    PotentialForm.SCALING: r"$P_{ij}=u_i\,e^{-C_{ij}/\varepsilon}\,v_j$",
    PotentialForm.DEBIASED: "differences from the potentials of the self terms: no plan",
}


def potentials() -> list[str]:
    """How the plan follows from what each returns."""
    lines = ["How the plan follows from the two vectors that a call returns:", "",
             "| plan | calls |", "|---|---|"]
    for form, formula in FORMS.items():
        calls = [f"`{row.name}`" for row in CONVENTIONS.values() if row.potentials is form]
        lines.append(f"| {formula} | {', '.join(calls)} |")
    return lines


# ------------------------------------------------------------------ cells
def scale_of(row: Convention) -> float | None:
    """How many times the squared distance the call's cost is, None if it has no such cost."""
    scales = [cost.scale for cost in row.costs if cost.ground in ("sqeuclidean", None)]
    return scales[0] if scales else None




def call(row: Convention) -> str:
    return f"`{row.name}`" if row.name != row.library else row.name


def parameter(row: Convention) -> str:
    """The parameter with the number that stands for eps."""
    theirs = next(cost.name for cost in row.costs if cost.ground in ("sqeuclidean", None))
    return f"{row.parameter.split(':')[0]} = {eps_from_refot(row, EPS, theirs):.4g}"


def times(scale: float) -> str:
    return "" if scale == 1 else f", of {scale:g} × the cost"
