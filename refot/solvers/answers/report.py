"""How a result is shown: one line of text, a table in HTML, a picture of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from refot.arrays import Array, namespace
from refot.costs.forbidden import on_host
from refot.problem import Problem
from refot.solvers.gap import CertifiedGap
from refot.solvers.stopping import StoppedBy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 200
"""Rows and columns of the picture at most."""


class ShownResult(Protocol):
    """What text, table and picture need of a result (`SinkhornResult`)."""

    f: Array
    g: Array
    converged: bool
    marginal_error: float
    atom_error: float
    tolerance: float
    errors: tuple[float, ...]
    stopped_by: StoppedBy
    problem: Problem
    infeasible: str
    gap: CertifiedGap | None
    seconds: float

    @property
    def backend(self) -> str:
        """The name of the backend."""

    def apply(self, V: Array) -> Array:
        """P @ V."""


def text(result: ShownResult) -> str:
    """One line, which says first whether it converged."""
    told = ", ".join(f"{name} {value}" for name, value in rows(result))
    return f"{type(result).__name__}({told})"


def html(result: ShownResult) -> str:
    """A table; a result that did not converge says so in bold."""
    from html import escape  # here, because `import refot` would take 3 ms longer

    def cell(name: str, value: str) -> str:
        bold = name == "converged" and not result.converged
        return f"<strong>{escape(value)}</strong>" if bold else escape(value)

    cells = "".join(f"<tr><th style='text-align: left'>{escape(name)}</th>"
                    f"<td style='text-align: left'>{cell(name, value)}</td></tr>"
                    for name, value in rows(result))
    return f"<table>{cells}</table>"


def rows(result: ShownResult) -> list[tuple[str, str]]:
    """The rows of the table, as text: (name, value)."""
    p = result.problem
    n, m = p.C.shape
    return [("converged", "yes" if result.converged else
              f"NO: {result.infeasible or result.stopped_by.advice}"),
            ("stopped by", str(result.stopped_by)), ("iterations", str(len(result.errors))),
            ("marginal error", f"{result.marginal_error:.3g} (tol {result.tolerance:g})"),
            ("atom error", f"{result.atom_error:.3g}"), ("problem", f"{n} x {m}"),
            ("eps", f"{p.eps:g}"), ("dtype", str(p.C.dtype)), ("backend", result.backend)]


def picture(result: ShownResult) -> Figure:
    """The masses of P, summed over bins of neighbouring rows and columns: never P itself."""
    from matplotlib.figure import Figure  # 0.3 s to import

    p = result.problem
    n, m = p.C.shape
    xp = namespace(result.g)
    columns = np.arange(m) * min(m, BINS) // m
    indicator = xp.asarray((columns[:, None] == np.arange(min(m, BINS))).astype(p.C.dtype))
    by_row = on_host(result.apply(indicator))
    starts = np.unique(np.arange(n) * min(n, BINS) // n, return_index=True)[1]
    masses = np.add.reduceat(by_row, starts, axis=0)
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(masses, extent=(-0.5, m - 0.5, n - 0.5, -0.5), aspect="auto", cmap="Blues",
                interpolation="nearest")
    axes.set(xlabel="j", ylabel="i", title=f"plan, eps = {p.eps:g}" + (
        "" if result.converged else f"\nNOT converged: marginal error {result.marginal_error:.2g}"))
    return figure
