"""Fig. 2 of B (Bréchet et al. 2019): a plan without and with the informative regularisation.

`refot plan` draws it. B states the latent law (uniform on the unit square), the data (a mixture of
Gaussians on a diagonal of the square), the cost |x - y|^2, the generator (the identity) and
lam = 5. It states neither eps nor the parameters of the mixture (erratum E11). Both are chosen
here, and so this is not a replication of the figure.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array, ConvergenceWarning, InputError, Matrix, as_count
from refot.backend_contract import BackendLike
from refot.costs.operands import PointCost, point_cost
from refot.information import mutual_information, sum_noise
from refot.informative_plans import InformativeResult, entries_with_mass, solve_informative
from refot.plots.figures import as_figure_path, plot_joint_laws, save_figure

MODES, WIDTH = (0.2, 0.5, 0.8), 0.04
"""The centres of the Gaussians along the diagonal, and their standard deviation. All have the same
weight."""

EPS, LAM = 5.0, 5.0
"""In cost units. lam = 5 is stated in B. eps = lam is the least eps at which the objective B-19 is
convex, so that panel (b) does not depend on the start of the iteration, and it is what B advises
(section 4.1). With an eps far above lam, panel (b) is as diffuse as (a); with an eps below lam the
iteration ends within 10 steps in a local minimum."""

FORMATS = (".png", ".pdf", ".svg")
"""The endings of files that `draw_figure_2` writes. Some others that Matplotlib knows need packages
that may not be there."""


@dataclass(frozen=True)
class Figure2Problem:
    """The problem of Fig. 2. The latent points z (n, 2) are the centres of the cells of a grid, and
    their first coordinate is the code z1.

    C is the cost between z and the data y (m, 2). `codes` (n,) numbers the columns of the grid,
    whose positions are `z1` (n1,). a (n,) is uniform. The data are atoms on the diagonal, at the
    coordinates `diagonal` (m,); b (m,) is the mixture there.
    """

    C: PointCost
    a: Array
    b: Array
    codes: Array
    z1: Array
    diagonal: Array

    def joint(self, P: Matrix) -> Array:
        """The law of (z1, y) under the plan P (n, m), (n1, m)."""
        return sum_noise(P, self.codes, len(self.z1))


def figure_2_problem(side: int = 10, atoms: int = 24) -> Figure2Problem:
    """The problem of Fig. 2 on a grid of side x side latent points and `atoms` points of data."""
    z1, t = _cell_centres(as_count(side, "side")), _cell_centres(as_count(atoms, "atoms"))
    z = np.stack(np.meshgrid(z1, z1, indexing="ij"), axis=-1).reshape(-1, 2)
    density = np.exp(-(((t[:, None] - MODES) / WIDTH) ** 2) / 2).sum(axis=1)
    return Figure2Problem(
        C=point_cost(z, np.stack([t, t], axis=1)), a=np.full(len(z), 1 / len(z)),
        b=density / density.sum(), codes=np.repeat(np.arange(side), side), z1=z1, diagonal=t,
    )


def draw_figure_2(
    path: str | os.PathLike[str], *, eps: float = EPS, lam: float = LAM, side: int = 10,
    atoms: int = 24, max_iter: int = 1_000, backend: BackendLike = None,
) -> list[str]:
    """Draw both plans of Fig. 2 into the file `path` (.png, .pdf, .svg), and return lines of text
    that describe them.

    Panel (a) is the plan at lam = 0, and (b) the plan at `lam`, after at most `max_iter` steps. The
    lines say how many steps were taken, and whether they were enough. Warns (IllPosedWarning) for
    lam > eps, where the plan may be a local minimum only.
    """
    if not str(path).lower().endswith(FORMATS):
        raise InputError("path", f"{str(path)!r}", "a name that ends in " + ", ".join(FORMATS))
    target = as_figure_path(path)
    if target.is_dir():
        raise InputError("path", f"{str(target)!r}, a folder", "a file that can be written")
    problem = figure_2_problem(side, atoms)
    panels, lines = {}, []
    for letter, weight in (("a", 0.0), ("b", lam)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the lines say so instead
            found = solve_informative(problem.C, problem.a, problem.b, eps, weight, problem.codes,
                                      max_iter=max_iter, backend=backend)
        joint = problem.joint(found.P)
        panels[rf"({letter}) $\varepsilon = {eps:g}$, $\lambda = {weight:g}$"] = joint
        lines.append(f"({letter}) eps = {eps:g}, lam = {weight:g}: {_described(joint, found)}")
    figure = plot_joint_laws(panels, problem.z1, problem.diagonal)
    lines.append(f"written to {save_figure(figure, target)}")
    return lines


def _described(joint: Array, found: InformativeResult) -> str:
    """A line on a plan: its mutual information, how few entries have its mass, and how the solve
    ended."""
    end = "converged" if found.converged else "not converged"
    return (f"MI {mutual_information(joint):.3g} nats, 99 % of the mass in "
            f"{entries_with_mass(joint)} of {joint.size} entries; {end} after {found.iterations} "
            f"steps, the last of {found.steps[-1]:.2g} in L1")


def _cell_centres(count: int) -> Array:
    """The centres of `count` equal cells of [0, 1]."""
    return (np.arange(count) + 0.5) / count
