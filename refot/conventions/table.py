"""The table of conventions: what each paper and each library takes, returns and calls "the value".

The file holds data only; `refot.conventions.terms` defines the terms, `refot.conventions.convert`
converts. Every entry says which version it describes, and how that was found out. RUN: the value of
a converged solve was compared with refot's. Where the library is installed, the tests repeat this,
and compare its default arguments, so that they notice when a library changes one. READ: taken from
the text of a paper or from source code.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu
et al.
"""

from __future__ import annotations

from dataclasses import replace

from refot.conventions.table_solvers import MATRIX, SOLVER_ROWS, SQEUCLIDEAN
from refot.conventions.terms import (
    Convention,
    Divergence,
    EpsParameter,
    Evidence,
    PotentialForm,
    TheirCost,
    ValueKind,
)

EUCLIDEAN = TheirCost("euclidean", "euclidean")
L1 = TheirCost("l1", "l1")

_REFOT_AND_PAPERS = (
    Convention(
        name="refot", library="refot", call="refot", version="0.1", checked=Evidence.RUN,
        value=ValueKind.KL, divergence=Divergence.HALVES, potentials=PotentialForm.DENSITY,
        costs=(*SQEUCLIDEAN, EUCLIDEAN, L1), parameter="eps",
        stopping="the tolerance asked for; a solve that misses it says so and warns",
        note="the divergence is a call of its own; so is the sharp value",
        source="docs/notation.md",
    ),
    Convention(
        name="B", library="paper", call="W of B-10, S of B-9", version="2019",
        checked=Evidence.READ, value=ValueKind.KL, divergence=Divergence.HALVES,
        potentials=PotentialForm.DENSITY,
        costs=(L1, *SQEUCLIDEAN), parameter="epsilon", stopping="none: potentials are networks",
        note="B-13 as printed is eps too low, B-24 and B-27 eps too high (errata E1, E2); the "
        "potentials are called D1, D2. S is made of three values W; the value kind converts one W",
        source="brechet2019informative, (8)-(15)",
    ),
    Convention(
        name="G", library="paper", call="W of section 2, W-bar of G-4", version="2018",
        checked=Evidence.READ, value=ValueKind.SHARP, divergence=Divergence.TWICE,
        potentials=PotentialForm.SCALING,
        costs=(*SQEUCLIDEAN, TheirCost("|f(x) - f(y)|", "euclidean")), parameter="epsilon",
        stopping="L steps, L = 10 to 100; no tolerance",
        note="W is the linear term of a problem that is regularised by KL (erratum G1); the "
        "scalings are called a, b. The learned cost is euclidean between features",
        source="genevay2018learning, (P_eps), (4), (7), (8)",
    ),
    Convention(
        name="H", library="paper", call="W_lambda of H-2, semi-dual H-9", version="2023",
        checked=Evidence.READ, value=ValueKind.KL, potentials=PotentialForm.DENSITY,
        costs=(TheirCost("c", None), TheirCost("|x - y|^2 / alpha", "sqeuclidean", None)),
        parameter="lambda", stopping="K averaged ascent steps; no tolerance",
        note="psi = g; phi = f is its softmin. Experiments divide the cost by alpha = mean "
        "|y|^2 of the data: pass scale = 1/alpha (erratum H4)",
        source="houdard2023gradient, slides (2), (7)-(9), implementation details",
    ),
    Convention(
        name="L", library="paper", call="W(P, Q)", version="poster", checked=Evidence.READ,
        value=ValueKind.ENTROPY, costs=SQEUCLIDEAN, parameter="lambda",
        stopping="not stated",
        note="W can be negative (erratum L1); its first argument is the data, which is the second "
        "one in B",
        source="liu-eotgm, Modeling",
    ),
)

_POT = Convention(
    name="pot.sinkhorn2", library="POT", call="ot.sinkhorn2(a, b, M, reg)",
    version="0.9.7.post1", checked=Evidence.RUN, value=ValueKind.SHARP, costs=MATRIX,
    parameter="reg", potentials=PotentialForm.SCALING,
    stopping="2-norm of the column error < 1e-9, seen every 10 iterations, at most 1000; silent "
    "(ot.sinkhorn warns)",
    defaults_of="ot:sinkhorn2",
    defaults={"method": "sinkhorn", "numItermax": 1000, "stopThr": 1e-9, "warn": False},
    note="potentials are log['u'], log['v'] (log=True); 'sinkhorn_log' adds their logarithms "
    "log_u, log_v, 'sinkhorn_stabilized' gives logu, logv and, in cost units, alpha, beta",
    source="ot/bregman/_sinkhorn.py",
)
_POT_SAMPLE_COSTS = (*SQEUCLIDEAN, EUCLIDEAN, TheirCost("cityblock", "l1"))
_POT_ROWS = (
    _POT,
    replace(
        _POT, name="pot.solve", call="ot.solve(M, a, b, reg).value", value=ValueKind.KL,
        potentials=PotentialForm.LOG_SCALING,
        stopping="2-norm of the column error < 1e-9, seen every 10 iterations, at most 1000; warns",
        defaults_of="ot:solve", defaults={"reg_type": "KL", "max_iter": None, "tol": None},
        note="value_linear is the sharp value. With balanced weights c and potentials_init are "
        "ignored; None stands for tol=1e-9, max_iter=1000; 1e-15 is added inside the logarithm",
        source="ot/solvers/_linear.py",
    ),
    replace(
        _POT, name="pot.solve(entropy)", call="ot.solve(M, a, b, reg, reg_type='entropy').value",
        value=ValueKind.ENTROPY, potentials=PotentialForm.LOG_SCALING,
        stopping="as pot.solve", defaults_of="", defaults={}, note="the plan is that of pot.solve",
        source="ot/solvers/_linear.py",
    ),
    replace(
        _POT, name="pot.solve_sample(lazy)",
        call="ot.solve_sample(X_a, X_b, a, b, reg=reg, lazy=True).value_linear",
        costs=_POT_SAMPLE_COSTS, potentials=PotentialForm.LOG_SCALING,
        stopping="1-norm of the row error <= 1e-9, seen every 10 iterations, at most 1000; warns",
        defaults_of="ot:solve_sample",
        defaults={"metric": "sqeuclidean", "reg_type": "KL", "lazy": False,
                  "max_iter": None, "tol": None},
        note="value is None; without lazy it is pot.solve", source="ot/solvers/_linear.py",
    ),
    replace(
        _POT, name="pot.solve_sample(debias)",
        call="ot.solve_sample(X_a, X_b, a, b, reg=reg, debias=True).value", value=ValueKind.KL,
        divergence=Divergence.HALVES, returns_divergence=True, costs=_POT_SAMPLE_COSTS,
        potentials=PotentialForm.LOG_SCALING, stopping="as pot.solve", defaults_of="", defaults={},
        note="not in 0.9.6; potentials and plan are those of (x, y), not debiased",
        source="ot/solvers/_linear.py",
    ),
    replace(
        _POT, name="pot.empirical_sinkhorn_divergence",
        call="ot.bregman.empirical_sinkhorn_divergence(X_s, X_t, reg, a, b)",
        divergence=Divergence.HALVES_CLAMPED, returns_divergence=True, costs=_POT_SAMPLE_COSTS,
        potentials=PotentialForm.NONE, stopping="as pot.sinkhorn2, at most 10000; warns",
        defaults_of="ot.bregman:empirical_sinkhorn_divergence",
        defaults={"metric": "sqeuclidean", "numIterMax": 10000, "stopThr": 1e-9, "warn": True},
        note="cites genevay2018learning: sharp values as there, but half of its divergence",
        source="ot/bregman/_empirical.py",
    ),
    replace(
        _POT, name="pot.greenkhorn", call="ot.bregman.greenkhorn(a, b, M, reg)", value=None,
        stopping="largest error of any row or column <= 1e-9, one row or column a step, at most "
        "10000; warns",
        defaults_of="ot.bregman:greenkhorn",
        defaults={"numItermax": 10000, "stopThr": 1e-9, "warn": True},
        note="a plan is returned; log['u'], log['v'] are its scalings",
    ),
    replace(
        _POT, name="pot.sinkhorn_epsilon_scaling",
        call="ot.bregman.sinkhorn_epsilon_scaling(a, b, M, reg)", value=None,
        potentials=PotentialForm.PLAIN,
        stopping="squared 2-norms of row and column errors, added, <= 1e-9, seen every 10 of at "
        "least 36 and at most 100 values of eps, at most 100 iterations each; warns",
        defaults_of="ot.bregman:sinkhorn_epsilon_scaling",
        defaults={"numItermax": 100, "epsilon0": 1e4, "numInnerItermax": 100, "stopThr": 1e-9,
                  "print_period": 10, "warn": True},
        note="a plan is returned; log['alpha'], log['beta'] are its potentials in cost units",
    ),
)

_OTT = Convention(
    name="ott.reg_ot_cost", library="OTT-JAX",
    call="ott.solvers.linear.solve(geom, a, b).reg_ot_cost", version="0.6.0",
    checked=Evidence.RUN, value=ValueKind.KL, parameter="epsilon", potentials=PotentialForm.PLAIN,
    costs=(
        TheirCost("SqEuclidean()", "sqeuclidean"),
        TheirCost("SqPNorm(2)", "sqeuclidean", 0.5),
        TheirCost("PNormP(2)", "sqeuclidean", 0.5),
        TheirCost("PNormP(1)", "l1"),
        TheirCost("Euclidean()", "euclidean"),
    ),
    stopping="1-norm of the column error < 1e-3, seen every 10 iterations, at most 2000; read "
    "`converged`, nothing is raised",
    defaults_of="ott.solvers.linear.sinkhorn:Sinkhorn",
    defaults={"lse_mode": True, "threshold": 1e-3, "norm_error": 1, "inner_iterations": 10,
              "max_iterations": 2000, "recenter_potentials": False},
    note="reg_ot_cost equals kl_reg_cost. Where epsilon is not given, eps is 0.05 std(C). "
    "PNormP(p) is sum_k |x_k - y_k|^p / p; SqPNorm(p) is half the square of the p-norm of "
    "x - y, not of its Euclidean norm. A matrix goes through Geometry(cost_matrix). Computed in "
    "float32 unless jax_enable_x64 is set",
    source="ott/solvers/linear/sinkhorn.py, ott/geometry/costs.py",
)
_OTT_ROWS = (
    _OTT,
    replace(
        _OTT, name="ott.ent_reg_cost", call="ott.solvers.linear.solve(geom, a, b).ent_reg_cost",
        value=ValueKind.ENTROPY, defaults_of="", defaults={},
        note="reg_ot_cost - eps (H(a) + H(b))",
    ),
    replace(
        _OTT, name="ott.primal_cost", call="ott.solvers.linear.solve(geom, a, b).primal_cost",
        value=ValueKind.SHARP, defaults_of="", defaults={}, note="",
    ),
    replace(
        _OTT, name="ott.dual_cost", call="ott.solvers.linear.solve(geom, a, b).dual_cost",
        value=ValueKind.ENTROPY, defaults_of="", defaults={},
        note="a.f + b.g of plain potentials: the entropy value, once the mass is 1",
    ),
    replace(
        _OTT, name="ott.sinkhorn_divergence",
        call="ott.tools.sinkhorn_divergence.sinkhorn_divergence(geom, x, y, ...)",
        divergence=Divergence.HALVES, returns_divergence=True,
        stopping="as ott.reg_ot_cost, for each of three solves; (x,x), (y,y) by averaged updates",
        defaults_of="ott.tools.sinkhorn_divergence:sinkhorn_divergence",
        defaults={"static_b": False, "share_epsilon": True, "symmetric_sinkhorn": True},
        note="adds eps/2 (sum a - sum b)^2, which is 0 for probability weights; eps is that of "
        "(x, y) in all three solves; the three pairs of potentials are returned as they are",
        source="ott/tools/sinkhorn_divergence.py",
    ),
)

_GEOMLOSS = Convention(
    name="geomloss.SamplesLoss(p=2)", library="GeomLoss",
    call="geomloss.SamplesLoss('sinkhorn', p=2)(a, x, b, y)", version="0.3.1",
    checked=Evidence.RUN, value=ValueKind.KL, divergence=Divergence.HALVES, returns_divergence=True,
    costs=(TheirCost("|x - y|^2 / 2", "sqeuclidean", 0.5),), parameter="blur",
    eps=EpsParameter.BLUR_SQUARED, potentials=PotentialForm.DEBIASED,
    stopping="none: one averaged update at each eps from diameter^p down by scaling^p to blur^p, "
    "one full update at the end",
    defaults_of="geomloss:SamplesLoss",
    defaults={"loss": "sinkhorn", "p": 2, "blur": 0.05, "scaling": 0.5, "debias": True,
              "potentials": False},
    note="potentials=True returns the debiased potentials F, G with a batch axis added; "
    "a.F + b.G is the value",
    source="geomloss/_legacy/samples_loss.py, sinkhorn_divergence.py, utils.py",
)
_GEOMLOSS_P1 = replace(
    _GEOMLOSS, name="geomloss.SamplesLoss(p=1)",
    call="geomloss.SamplesLoss('sinkhorn', p=1)(a, x, b, y)",
    costs=(TheirCost("|x - y|", "euclidean"),), eps=EpsParameter.EPS, defaults_of="", defaults={},
    note="the distance is sqrt(max(|x - y|^2, 1e-8)): 1e-4 from a point to itself, so that the "
    "debiased value is up to 1e-4 low",
)
_GEOMLOSS_SAMPLE = replace(
    _GEOMLOSS, name="geomloss.ot.solve_sample",
    call="geomloss.ot.solve_sample(X_a, X_b, a, b, reg=reg, max_iter=n).value",
    divergence=Divergence.NONE, returns_divergence=False, potentials=PotentialForm.DENSITY,
    costs=SQEUCLIDEAN,
    parameter="reg", eps=EpsParameter.EPS,
    stopping="none: max_iter must be given, tol is refused; one averaged update at each of "
    "max_iter values of eps from diameter^2 down to reg, one full update at the end",
    defaults_of="geomloss.ot:solve_sample",
    defaults={"cost": "sqeuclidean", "debias": False, "reg": None, "blur": None, "max_iter": None},
    note="its blur means what it means for SamplesLoss(p=2), whose cost is half of this one",
    source="geomloss/ot/_implementations/sample.py",
)
_GEOMLOSS_ROWS = (
    _GEOMLOSS,
    _GEOMLOSS_P1,
    *(replace(row, name=row.name.replace(")", ", debias=False)"),
              call=row.call.replace(")(", ", debias=False)("), divergence=Divergence.NONE,
              returns_divergence=False, potentials=PotentialForm.DENSITY, defaults_of="",
              defaults={}, note="potentials=True returns f, g, one batch axis added")
      for row in (_GEOMLOSS, _GEOMLOSS_P1)),
    _GEOMLOSS_SAMPLE,
    replace(
        _GEOMLOSS_SAMPLE, name="geomloss.ot.solve_sample(blur)",
        call="geomloss.ot.solve_sample(X_a, X_b, a, b, blur=blur, max_iter=n).value",
        parameter="blur", eps=EpsParameter.TWICE_BLUR_SQUARED, defaults_of="", defaults={},
        note="as geomloss.ot.solve_sample, with blur in place of reg",
    ),
    replace(
        _GEOMLOSS_SAMPLE, name="geomloss.ot.solve_sample(debias=True)",
        call="geomloss.ot.solve_sample(X_a, X_b, a, b, reg=reg, max_iter=n, debias=True).value",
        divergence=Divergence.HALVES, returns_divergence=True, defaults_of="", defaults={},
        note="potential_a, potential_b stay those of (x, y), unlike those of SamplesLoss",
    ),
    replace(
        _GEOMLOSS_SAMPLE, name="geomloss.ot.solve",
        call="geomloss.ot.solve(C, a=a, b=b, reg=reg, max_iter=n).value", costs=MATRIX,
        stopping="none: as geomloss.ot.solve_sample, from max(C) - min(C) down to reg",
        defaults_of="", defaults={}, note="", source="geomloss/ot/_implementations/matrix.py",
    ),
)

CONVENTIONS: dict[str, Convention] = {
    row.name: row
    for row in (*_REFOT_AND_PAPERS, *_POT_ROWS, *_OTT_ROWS, *_GEOMLOSS_ROWS, *SOLVER_ROWS)
}
"""Every convention that refot knows, by name."""
