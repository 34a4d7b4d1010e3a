"""Figures of plans, potentials and points."""

from __future__ import annotations

import itertools

import numpy as np

import refot
from refot.informative_plans import solve_informative
from refot.printed import informative_plan_printed
from refot.semidiscrete import averaged_sgd
from refot.unbalanced.objectives import unbalanced_marginals
from website.drawing import Axes, Figure, Frame, Layer, shades

LINE = np.linspace(0, 1, 24)


def bumps(centres: list[float], width: float, x: np.ndarray = LINE) -> np.ndarray:
    """Weights of a mixture of Gaussian bumps on the line."""
    w = sum(np.exp(-(x - c)**2 / (2 * width**2)) for c in centres) + 1e-3
    return w / w.sum()


A, B = bumps([0.3], 0.12), bumps([0.25, 0.75], 0.07)
C = (LINE[:, None] - LINE) ** 2


def softmin() -> Figure:
    """B-25 as a function of x, against the hard minimum."""
    y, g = np.array([0.15, 0.5, 0.8]), np.array([0.0, 0.06, -0.02])
    x, b = np.linspace(0, 1, 80), np.full(3, 1 / 3)
    cost = (x[:, None] - y) ** 2
    hard = refot.c_transform(g, cost, b)
    axes = Axes((0, 1), (-0.12, 0.6), ("x", "cost units"), ([0, 0.5, 1], [0, 0.2, 0.4]))
    fixed = "".join(f'<polyline class="fixed" points="{axes.line(x, cost[:, j] - g[j])}"/>'
                    for j in range(3))
    frames = []
    for eps in np.geomspace(0.002, 1, 14):
        soft = refot.c_eps_transform(g, cost, b, eps)
        frames.append(Frame(f"eps = {eps:.3g}",
                            f"largest distance from the minimum {abs(soft - hard).max():.4f}, "
                            f"at most eps log 3 = {eps * np.log(3):.4f}",
                            {"soft": axes.line(x, soft), "hard": axes.line(x, hard)}))
    return Figure("Soft minimum and eps",
                  "Three parabolas C - g (thin), their minimum, and their soft minimum. It tends "
                  "to the minimum as eps falls, and to the weighted mean as eps grows.",
                  (axes,), (Layer("hard", "line", "two", "minimum"),
                            Layer("soft", "line", "one", "soft minimum")),
                  tuple(frames), 6, fixed)


MAP = (120, 8, 240, 240)


def matrix_axes(left: str, below: str) -> str:
    """The names beside a table of cells."""
    return (f'<rect x="{MAP[0]}" y="{MAP[1]}" width="{MAP[2]}" height="{MAP[3]}" class="axes"/>'
            f'<text x="{MAP[0] - 8}" y="130" class="end">{left}</text>'
            f'<text x="240" y="268" class="middle">{below}</text>')


def plan() -> Figure:
    """B-15: the plan between two measures of the line, from eps = 0 to infinity."""
    exact, P0 = refot.kantorovich(C, A, B)
    found = [("eps → 0", exact, 0.0, P0)]
    for eps in np.geomspace(0.001, 1, 10):
        solved = refot.solve(C, A, B, eps, tol=1e-9)
        P = refot.plan(solved.f, solved.g, C, A, B, eps)
        found.append((f"eps = {eps:.3g}", float((P * C).sum()), refot.kl_from_product(P, A, B), P))
    independent = np.outer(A, B)
    found.append(("eps → ∞", float((independent * C).sum()), 0.0, independent))
    frames = [Frame(label, f"cost <C,P> {cost:.4f}" + (f", KL {kl:.3f}" if kl else ""),
                    {"P": shades(np.sqrt(P))}) for label, cost, kl, P in found]
    return Figure("The plan and eps",
                  "The plan between two measures on a line, darker where there is more mass (the "
                  "square root, so that little mass is seen). At eps = 0 it is thin, for large eps "
                  "it is the product of the weights.",
                  (), (Layer("P", "cells", "cells", rows=24, columns=24, box=MAP),),
                  tuple(frames), 5, matrix_axes("x", "y"))


def iterates() -> Figure:
    """G-7: the potential f after each step, and the error of the rows."""
    eps = 0.01
    best = refot.solve(C, A, B, eps, tol=1e-12)
    axes = Axes((0, 1), (-0.4, 0.4), ("x", "potential f, mean 0"), ([0, 0.5, 1], [-0.3, 0, 0.3]))
    frames, g = [], np.zeros(24)
    for step in range(25):
        f = refot.c_eps_transform(g, C, B, eps)
        g = refot.c_eps_transform(f, C.T, A, eps)
        error = refot.marginal_error(f, g, C, A, B, eps)
        if step in (0, 1, 2, 3, 4, 6, 8, 11, 14, 19, 24):
            frames.append(Frame(f"step {step + 1}", f"marginal error {error:.1e}",
                                {"best": axes.line(LINE, best.f - A @ best.f),
                                 "f": axes.line(LINE, f - A @ f)}))
    return Figure("Sinkhorn's iterates",
                  "The potential after each step of the iteration (eps = 0.01), and the optimal "
                  "one. The columns of the plan are exact after every step; the error is "
                  "that of the rows.",
                  (axes,), (Layer("best", "line", "two", "optimal"),
                            Layer("f", "line", "one", "after the step")), tuple(frames), 2)


def printed_plan() -> Figure:
    """Erratum E3: the row sums of B-29 as printed and as it is right."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(12, 2)), rng.normal(size=(9, 2))
    a, b, eps = np.full(12, 1 / 12), np.full(9, 1 / 9), 1.0
    cost, Q = refot.point_cost(x, y), rng.normal(size=(4, 9))[np.arange(12) // 3]
    rows = np.arange(1, 13)
    axes = Axes((0.5, 12.5), (0, 0.25), ("row i of the plan", "its sum"),
                ([1, 4, 8, 12], [0, 0.1, 0.2]))
    frames = []
    for lam in np.linspace(0, 1, 11):
        right, solved = refot.informative_plan(cost, Q, lam, a, b, eps, tol=1e-11)
        wrong = informative_plan_printed(solved.g, cost, Q, lam, a, b, eps)
        frames.append(Frame(f"lam / eps = {lam:.1f}",
                            f"mass of the printed plan {wrong.sum():.3f}, of the right one "
                            f"{right.sum():.3f}",
                            {"wrong": axes.dots(rows, wrong.sum(1)),
                             "right": axes.dots(rows, right.sum(1))}))
    return Figure("Erratum E3: the plan of B-29 as printed",
                  "Each row of the plan must sum to a_i = 1/12. The corrected plan does; the "
                  "printed one, with Q outside the transform, does so only for lam = 0.",
                  (axes,), (Layer("wrong", "dots", "marks", "as printed"),
                            Layer("right", "dots", "dots", "corrected")), tuple(frames), 7)


def informative() -> Figure:
    """B-19 and Fig. 2 of B: the plan of code and data for growing lam."""
    codes, n = np.repeat(np.arange(8), 4), 12
    grid = np.array(list(itertools.product((np.arange(8) + 0.5) / 8, (np.arange(4) + 0.5) / 4)))
    t = np.linspace(0.05, 0.95, n)
    cost = ((grid[:, None] - np.stack([t, t], 1)) ** 2).sum(-1)
    a, b, eps = np.full(32, 1 / 32), np.full(n, 1 / n), 0.5
    frames = []
    for lam in (0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45, 0.48):
        P = solve_informative(cost, a, b, eps, lam, codes, tol=1e-4).P
        joint = refot.sum_noise(P, codes, 8)
        frames.append(Frame(f"lam = {lam:g}", f"what the code says about the data: "
                            f"{refot.mutual_information(joint / joint.sum()):.3f} nats "
                            f"(eps = {eps:g})",
                            {"P": shades(joint)}))
    return Figure("The informative plan and lam",
                  "The plan of code (rows, 8 values) and data (columns, points of a diagonal), "
                  "after the noise was summed out. The reward lam for information makes it sparse.",
                  (), (Layer("P", "cells", "cells", rows=8, columns=n, box=MAP),),
                  tuple(frames), 3, matrix_axes("code", "data"))


def unbalanced() -> Figure:
    """U-1 and U-4: the masses that are moved, for a growing price of missing mass."""
    a, b, eps = bumps([0.3], 0.1), 1.6 * bumps([0.25, 0.8], 0.06), 0.005
    axes = Axes((0, 1), (0, 0.3), ("x", "mass"), ([0, 0.5, 1], [0, 0.1, 0.2, 0.3]))
    fixed = "".join(f'<polyline class="fixed" points="{axes.line(LINE, mass)}"/>'
                    for mass in (a, b))
    frames = []
    for rho in np.geomspace(0.003, 10, 11):
        solved = refot.solve(C, a, b, eps, rho=float(rho), tol=1e-9)
        rows, columns = unbalanced_marginals(solved.f, solved.g, C, a, b, eps, float(rho))
        frames.append(Frame(f"rho = {rho:.3g}", f"mass of the plan {rows.sum():.3f}, of the two "
                            f"sides {a.sum():.3f} and {b.sum():.3f}",
                            {"rows": axes.line(LINE, rows), "columns": axes.line(LINE, columns)}))
    return Figure("Unbalanced transport and rho",
                  "Two measures of different mass (thin) and the marginals of the plan between "
                  "them (eps = 0.005). For small rho little mass moves, and only over short "
                  "ways; for large rho the marginals come as near to the measures as the masses "
                  "allow.",
                  (axes,), (Layer("rows", "line", "one", "moved from"),
                            Layer("columns", "line", "two", "moved to")), tuple(frames), 5, fixed)


def cells() -> Figure:
    """H-28: the cells of a semi-discrete plan while psi is found."""
    rng = np.random.default_rng(5)
    y, b, lam, side = rng.random((3, 2)), np.full(3, 1 / 3), 0.01, 20
    grid = np.array(list(itertools.product((np.arange(side) + 0.5) / side, repeat=2)))
    cost = refot.point_cost(grid, y)

    def draw(rng: np.random.Generator) -> refot.PointCost:
        return refot.point_cost(rng.random((20, 2)), y)

    frames = []
    start = [(np.zeros(3), np.zeros(3))]
    steps = itertools.chain(start, averaged_sgd(draw, rng, b, lam, 0.3))
    for k, (_, psi) in enumerate(itertools.islice(steps, 301)):
        if k not in (0, 1, 2, 4, 8, 16, 30, 60, 120, 300):
            continue
        chi = refot.conditional(psi, cost, b, lam)
        shares = " ".join(f"{100 * part:.0f} %" for part in chi.mean(0))
        frames.append(Frame(f"step {k}", f"shares of the square: {shares}; each wants 33 %",
                            {f"c{j}": shades(chi[:, j], 1.0) for j in range(3)}))
    dots = "".join(f'<circle cx="{MAP[0] + MAP[2] * q:.1f}" cy="{MAP[1] + MAP[3] * p:.1f}" r="5"/>'
                   for p, q in y)
    layers = tuple(Layer(f"c{j}", "cells", ("cells", "second", "third")[j], rows=side, columns=side,
                         box=MAP) for j in range(3))
    return Figure("Semi-discrete cells",
                  "The uniform law of a square goes to three points of equal weight. Averaged "
                  "stochastic ascent moves the borders until each point has its "
                  "third (lambda = 0.01).",
                  (), layers, tuple(frames), 5, dots)


def collapse() -> Figure:
    """Fig. 1 of B: points that descend F shrink, points that descend S do not."""
    rng = np.random.default_rng(1)
    y = np.concatenate([rng.normal(size=(14, 2)) * 0.35 + centre
                        for centre in ((-1, 0.4), (0.9, -0.3))])
    b, eps = np.full(28, 1 / 28), 0.5
    start = rng.normal(size=(20, 2)) * 0.25
    a = np.full(20, 1 / 20)
    axes = [Axes((-2, 2), (-1.5, 1.5), (name, ""), box=(left, 12, 204, 226))
            for name, left in (("descending F", 8), ("descending S", 226))]
    points = {"F": start, "S": start}
    frames = []
    for step in range(31):
        if step in (0, 1, 2, 3, 5, 8, 12, 18, 30):
            spread = {name: within(at, y) for name, at in points.items()}
            frames.append(Frame(f"step {step}", f"spread within clusters: {spread['F']:.2f} under "
                                f"F, {spread['S']:.2f} under S, {within(y, y):.2f} in the data",
                                {name: axes[k].dots(*points[name].T)
                                 for k, name in enumerate(("F", "S"))}))
        C = refot.point_cost(points["F"], y)
        points["F"] = points["F"] - 4 * refot.entropic_value_gradient_points(C, a, b, eps, tol=1e-7)
        points["S"] = points["S"] - 4 * refot.sinkhorn_divergence_gradient(
            points["S"], a, y, b, eps, tol=1e-7)
    data = "".join(f'<path class="data" d="{each.dots(*y.T)}"/>' for each in axes)
    return Figure("Collapse under F, none under S",
                  "Twenty points descend F and S (eps = 0.5) towards the data in grey. Under F "
                  "they shrink into the middle of each cluster: the bias that the "
                  "divergence removes.",
                  tuple(axes), (Layer("F", "dots", "marks"), Layer("S", "dots", "dots")),
                  tuple(frames), 8, data)


def within(points: np.ndarray, y: np.ndarray) -> float:
    """The root mean square distance of points from the mean of their half of the data."""
    side = points[:, 0] > 0
    parts = [points[side == which] for which in (False, True) if (side == which).any()]
    return float(np.sqrt(sum(((p - p.mean(0)) ** 2).sum() for p in parts) / len(points)))
