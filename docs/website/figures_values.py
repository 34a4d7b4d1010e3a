"""Figures of values against eps, steps, samples and parameters."""

from __future__ import annotations

import numpy as np

import refot
from refot import limits as eps_limits
from refot.semidiscrete import (
    counter_example_f,
    counter_example_h,
    counter_example_psi,
)
from website.drawing import Axes, Figure, Frame, Layer


def clouds(n: int, m: int, shift: float) -> tuple[np.ndarray, ...]:
    """Two clouds in the plane with uniform weights."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) * 0.7 + np.array([shift, 0])
    return x, np.full(n, 1 / n), y, np.full(m, 1 / m)


def dual() -> Figure:
    """B-13 and B-24: the bounds from below along Sinkhorn's iteration."""
    x, a, y, b = clouds(20, 15, 1.5)
    C, steps = refot.point_cost(x, y), np.arange(1, 21)
    axes = Axes((1, 20), (0.4, 1.25), ("step", "share of F"),
                ([1, 5, 10, 15, 20], [0.4, 0.6, 0.8, 1]))
    frames = []
    for eps in np.geomspace(0.05, 2, 9):
        F, g = refot.entropic_value(C, a, b, eps, tol=1e-10), np.zeros(15)
        semis = []
        for _ in steps:
            f = refot.c_eps_transform(g, C, b, eps)
            semis.append(refot.semi_dual(g, C, a, b, eps))
            g = refot.c_eps_transform(f, C.T, a, eps)
        frames.append(Frame(f"eps = {eps:.2g}", f"F = {F:.4f}; after 20 steps the bound is "
                            f"{100 * (1 - semis[-1] / F):.1g} % below it",
                            {"F": axes.line([1, 20], [1, 1]),
                             "semi": axes.line(steps, np.array(semis) / F)}))
    return Figure("The dual rises to F",
                  "Every potential gives a lower bound of F (B-24), and each step of Sinkhorn's "
                  "iteration raises it: in a few steps for large eps, in many for small.",
                  (axes,), (Layer("F", "line", "two", "F"), Layer("semi", "line", "one", "bound")),
                  tuple(frames), 2)


def bias() -> Figure:
    """B-9: where F and S are least as a cloud is scaled."""
    x, a, _, _ = clouds(25, 25, 0)
    x = x - x.mean(0)
    t = np.linspace(0, 1.6, 17)
    axes = Axes((0, 1.6), (0, 1.3), ("scale t of the points", "share of the largest"),
                ([0, 0.4, 0.8, 1.2, 1.6], [0, 0.5, 1]))
    frames = []
    for eps in (0.1, 0.3, 0.6, 1, 2, 4, 8):
        F = np.array([refot.entropic_value(refot.point_cost(s * x, x), a, a, eps, tol=1e-8)
                      for s in t])
        S = np.array([refot.sinkhorn_divergence(s * x, a, x, a, eps, tol=1e-8) for s in t])
        frames.append(Frame(f"eps = {eps:g}", f"F is least at t = {t[F.argmin()]:.1f}, S at t = "
                            f"{t[S.argmin()]:.1f}; the data are at t = 1",
                            {"F": axes.line(t, F / F.max()), "S": axes.line(t, S / S.max())}))
    return Figure("The bias of F, and S without it",
                  "The points of a cloud, scaled by t, against the cloud itself. F is least for a "
                  "shrunken copy, the more so the larger eps; S is least, and 0, for "
                  "the cloud itself.",
                  (axes,), (Layer("F", "line", "two", "F"), Layer("S", "line", "one", "S")),
                  tuple(frames), 3)


def limits() -> Figure:
    """Theorem 1 of G and property (ii) of B: S between its two limits."""
    eps = np.geomspace(0.01, 300, 14)
    axes = Axes((0.01, 300), (0, 6), ("eps", "cost units"), ([0.01, 0.1, 1, 10, 100], [0, 2, 4, 6]),
                (True, False))
    frames = []
    for shift in (0, 0.5, 1, 1.5, 2):
        x, a, y, b = clouds(12, 10, shift)
        ends = eps_limits.divergence_limits(x, a, y, b)
        W0, half = ends.xy.exact, refot.mmd_squared(x, a, y, b) / 2
        S = [refot.sinkhorn_divergence(x, a, y, b, e, tol=1e-8) for e in eps]
        frames.append(Frame(f"distance of the clouds {shift:g}",
                            f"W0 = {W0:.3f}, MMD²/2 = {half:.3f}; S at eps = 0.01 is {S[0]:.3f}, "
                            f"at eps = 300 {S[-1]:.3f}",
                            {"W": axes.line([0.01, 300], [W0, W0]),
                             "M": axes.line([0.01, 300], [half, half]), "S": axes.line(eps, S)}))
    return Figure("From transport to MMD",
                  "S against eps, for two clouds. On the left it is the exact cost of transport "
                  "W0, on the right half of the squared MMD with the kernel -|x - y|².",
                  (axes,), (Layer("W", "line", "two", "W0"), Layer("M", "line", "three", "MMD²/2"),
                            Layer("S", "line", "one", "S")), tuple(frames), 3)


def unrolled() -> Figure:
    """G-8: the loss after L steps against the sharp value that it tends to."""
    x, a, y, b = clouds(20, 15, 1.5)
    C, steps = refot.point_cost(x, y).dense(), np.arange(1, 21)
    axes = Axes((1, 20), (0.2, 1.3), ("number of steps L", "share of the sharp value"),
                ([1, 5, 10, 15, 20], [0.2, 0.4, 0.6, 0.8, 1]))
    frames = []
    for eps in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2):
        s = refot.sharp_value(C, a, b, eps, tol=1e-10)
        after = np.array([refot.scaling_loss(C, a, b, eps, int(L)) for L in steps])
        frames.append(Frame(f"eps = {eps:g}", f"s = {s:.4f}; the loss after 1 step is "
                            f"{after[0]:.4f}, after 20 steps {after[-1]:.4f}",
                            {"s": axes.line([1, 20], [1, 1]), "L": axes.line(steps, after / s)}))
    return Figure("The loss after L steps",
                  "G-8 takes the cost of the plan after L steps. For large eps few steps are "
                  "enough; for small eps the loss is still that of a plan with wrong marginals.",
                  (axes,), (Layer("s", "line", "two", "sharp value"),
                            Layer("L", "line", "one", "after L steps")), tuple(frames), 1)


def complexity() -> Figure:
    """The error of samples: S between two samples of one law, against their number."""
    sizes, epsilons = [10, 20, 40, 80], [0.05, 0.2, 0.8, 3.2]

    def draw(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.random((n, 5))

    found = eps_limits.sample_complexity(draw, sizes, epsilons, 4, 0, "sqeuclidean", tol=1e-5)
    axes = Axes((9, 90), (3e-3, 3), ("number of samples n", "mean S"),
                ([10, 20, 40, 80], [0.01, 0.1, 1]), (True, True))
    frames = []
    for eps, S in zip(epsilons, found.divergence, strict=True):
        frames.append(Frame(f"eps = {eps:g}", "slope of the line "
                            f"{eps_limits.decay_rate(sizes, S):.2f}; of half the MMD² "
                            f"{eps_limits.decay_rate(sizes, found.energy):.2f}",
                            {"M": axes.line(sizes, found.energy), "S": axes.line(sizes, S),
                             "at": axes.dots(sizes, S)}))
    return Figure("Samples and eps",
                  "S between two samples of one law in five dimensions, which should be 0: the "
                  "mean of four pairs of samples. The larger eps, the nearer to 0 it is "
                  "for the same n.",
                  (axes,), (Layer("M", "line", "three", "MMD²/2"), Layer("S", "line", "one", "S"),
                            Layer("at", "dots", "dots")), tuple(frames), 1)


def counter_example() -> Figure:
    """Erratum H2: h is smooth where F at a fixed psi has a kink."""
    y = np.array([[0.0], [1.0]])
    theta = np.linspace(-0.8, 1.8, 53)
    axes = Axes((-0.8, 1.8), (-0.1, 2), ("theta", "cost units"), ([0, 0.5, 1], [0, 1, 2]))
    frames = []
    for p, at in ((1.0, 0.5), (1.0, 1.4), (1.5, 0.5), (1.5, 1.4), (2.0, 0.5), (2.0, 1.4)):
        psi = counter_example_psi(np.array([at]), y, p)
        h = np.array([counter_example_h(np.array([s]), y, p) for s in theta])
        F = np.array([counter_example_f(psi, np.array([s]), y, p) for s in theta])
        F = F + float(psi.mean())  # H = F + b.psi, which touches h at the point
        touch = counter_example_h(np.array([at]), y, p)
        kink = "no kink: H-24 holds" if p == 1 and at > 1 else "a kink: H-24 fails"
        frames.append(Frame(f"p = {p:g}, psi of theta = {at:g}", f"at that point H has {kink}",
                            {"h": axes.line(theta, h), "F": axes.line(theta, F),
                             "at": axes.dots([at], [touch])}))
    return Figure("Where the gradient formula fails",
                  "h, the transport cost from a point theta to two points, and H at the best psi "
                  "of the marked theta. H lies below h and touches it there; the formula needs "
                  "both to have the same slope.",
                  (axes,), (Layer("h", "line", "two", "h"), Layer("F", "line", "one", "H at psi"),
                            Layer("at", "dots", "marks")), tuple(frames), 0)
