"""The table of conventions of unbalanced transport, data only.

`refot.conventions.unbalanced_terms` defines the terms, `refot.conventions.unbalanced` converts.
RUN: the value of a converged solve was compared with refot's; where the library is installed, the
tests repeat this. READ: taken from source code. A "finding" such as O6 is a heading of
docs/findings-unbalanced.md. U-8 is an equation of docs/equations.md.
"""

from __future__ import annotations

from dataclasses import replace

from refot.conventions.terms import Evidence

from .unbalanced_terms import (
    Reference,
    RhoParameter,
    UnbalancedConvention,
    UnbalancedPotentials,
    UnbalancedValue,
)

_REFOT = UnbalancedConvention(
    name="refot", balanced="refot", library="refot", call="refot.solve(C, a, b, eps, rho=rho)",
    version="0.1", checked=Evidence.RUN, parameter="rho",
    potentials=UnbalancedPotentials.DENSITY, bias=True,
    note="rho may be a pair, inf where a marginal is exact; penalty='tv' is another problem",
    source="docs/equations.md",
)

_POT = UnbalancedConvention(
    name="pot.sinkhorn_unbalanced", balanced="pot.sinkhorn2", library="POT",
    call="ot.unbalanced.sinkhorn_unbalanced(a, b, M, reg, reg_m)", version="0.9.7.post1",
    checked=Evidence.RUN, parameter="reg_m", value=UnbalancedValue.NONE,
    potentials=UnbalancedPotentials.LOG_DENSITY,
    note="log=True adds logu, logv; method is 'sinkhorn', 'sinkhorn_stabilized' or "
    "'sinkhorn_translation_invariant'; 'sinkhorn_reg_scaling' is the first of them, with a "
    "warning. Stops at a relative change of u and v of 1e-6, or after 1000 iterations, silently "
    "but for 'sinkhorn_stabilized'",
    source="ot/unbalanced/_sinkhorn.py",
)
_POT_ROWS = (
    _POT,
    replace(
        _POT, name="pot.sinkhorn_unbalanced(entropy)",
        call="ot.unbalanced.sinkhorn_unbalanced(a, b, M, reg, reg_m, reg_type='entropy')",
        reference=Reference.ONES, note="the default before 0.9.5; another plan than with 'kl'",
    ),
    replace(
        _POT, name="pot.sinkhorn_unbalanced2",
        call="ot.unbalanced.sinkhorn_unbalanced2(a, b, M, reg, reg_m)",
        value=UnbalancedValue.SHARP, note="returnCost='linear' by default",
    ),
    replace(
        _POT, name="pot.sinkhorn_unbalanced2(total)",
        call="ot.unbalanced.sinkhorn_unbalanced2(a, b, M, reg, reg_m, returnCost='total')",
        value=UnbalancedValue.WITHOUT_MASSES,
        note="documented to be the minimum U; KL is summed without -p + q (finding P18)",
    ),
    replace(
        _POT, name="pot.solve(unbalanced)", balanced="pot.solve",
        call="ot.solve(M, a, b, reg=reg, unbalanced=reg_m).value", parameter="unbalanced",
        value=UnbalancedValue.WITHOUT_MASSES,
        note="value_linear is the sharp cost; potentials are logu, logv (finding P18)",
        source="ot/solvers/_linear.py",
    ),
    replace(
        _POT, name="pot.solve(entropy, unbalanced)", balanced="pot.solve(entropy)",
        call="ot.solve(M, a, b, reg=reg, reg_type='entropy', unbalanced=reg_m).value",
        parameter="unbalanced", reference=Reference.ONES, value=UnbalancedValue.FULL,
        potentials=UnbalancedPotentials.NONE,
        note="goes to lbfgsb_unbalanced, not to Sinkhorn's algorithm: no potentials",
        source="ot/solvers/_linear.py",
    ),
    replace(
        _POT, name="pot.lbfgsb_unbalanced2",
        call="ot.unbalanced.lbfgsb_unbalanced2(a, b, M, reg, reg_m)", value=UnbalancedValue.FULL,
        potentials=UnbalancedPotentials.NONE,
        note="reg_div='kl', regm_div='kl' by default; returns the total cost, and with "
        "returnCost='linear' the sharp one",
        source="ot/unbalanced/_lbfgs.py",
    ),
    replace(
        _POT, name="pot.mm_unbalanced2", call="ot.unbalanced.mm_unbalanced2(a, b, M, reg_m, "
        "reg=reg)", value=UnbalancedValue.FULL, potentials=UnbalancedPotentials.NONE,
        note="div='kl'; reg = 0 by default, without entropy; reg_m stands before reg",
        source="ot/unbalanced/_mm.py",
    ),
)

_OTT = UnbalancedConvention(
    name="ott.reg_ot_cost(tau)", balanced="ott.reg_ot_cost", library="OTT-JAX",
    call="ott.solvers.linear.solve(geom, a, b, tau_a=tau, tau_b=tau).reg_ot_cost",
    version="0.6.0", checked=Evidence.RUN, parameter="tau_a, tau_b", rho=RhoParameter.TAU,
    reference=Reference.ONES, value=UnbalancedValue.NONE, potentials=UnbalancedPotentials.PLAIN,
    note="with another epsilon the same tau means another rho. The documentation has "
    "eps KL(P | a b'), but the plan that is returned is that with the entropy "
    "eps sum P (log P - 1). reg_ot_cost is the dual of the documented problem, at the potentials "
    "of the problem that was solved: a lower bound of U, and the value of neither. Nor is "
    "ent_reg_cost or dual_cost a value of one of them (finding O6)",
    source="ott/solvers/linear/sinkhorn.py, math/unbalanced_functions.py",
)
_OTT_ROWS = (
    _OTT,
    replace(
        _OTT, name="ott.reg_ot_cost(tau), documented", checked=Evidence.READ,
        reference=Reference.PRODUCT, value=UnbalancedValue.FULL, bias=True,
        note="what the documentation says of reg_ot_cost, and of the divergence made of it: "
        "<C,P> + eps KL(P | a b') + both penalties; 0.6.0 returns something else (finding O6)",
        source="ott/solvers/linear/sinkhorn.py, SinkhornOutput.kl_reg_cost",
    ),
    replace(
        _OTT, name="ott.sinkhorn_divergence(tau)", balanced="ott.sinkhorn_divergence",
        call="ott.tools.sinkhorn_divergence.sinkhorn_divergence(geom, x, y, "
        "solve_kwargs={'tau_a': tau, 'tau_b': tau}, ...)",
        potentials=UnbalancedPotentials.NONE, bias=True,
        note="made of three reg_ot_cost, which are no values (finding O6); one tau for all three "
        "solves, of the eps of (x, y)",
        source="ott/tools/sinkhorn_divergence.py",
    ),
)

_GEOMLOSS = UnbalancedConvention(
    name="geomloss.SamplesLoss(p=2, reach)", balanced="geomloss.SamplesLoss(p=2)",
    library="GeomLoss", call="geomloss.SamplesLoss('sinkhorn', p=2, reach=reach)(a, x, b, y)",
    version="0.3.1", checked=Evidence.RUN, parameter="reach", rho=RhoParameter.REACH_SQUARED,
    bias=True,
    note="on the cost |x - y|^2 / 2, so that rho on refot's cost is 2 reach^2; the mass bias is "
    "in the formula",
    source="geomloss/_legacy/sinkhorn_divergence.py",
)
_GEOMLOSS_ROWS = (
    _GEOMLOSS,
    replace(
        _GEOMLOSS, name="geomloss.SamplesLoss(p=1, reach)", balanced="geomloss.SamplesLoss(p=1)",
        call="geomloss.SamplesLoss('sinkhorn', p=1, reach=reach)(a, x, b, y)",
        rho=RhoParameter.RHO, note="rho = reach, on the cost |x - y|",
    ),
    replace(
        _GEOMLOSS, name="geomloss.SamplesLoss(p=2, reach, debias=False)",
        balanced="geomloss.SamplesLoss(p=2, debias=False)",
        call="geomloss.SamplesLoss('sinkhorn', p=2, reach=reach, debias=False)(a, x, b, y)",
        value=UnbalancedValue.UNIT_MASSES, bias=None, potentials=UnbalancedPotentials.DENSITY,
        note="right where both masses are 1 (finding G7)",
    ),
    replace(
        _GEOMLOSS, name="geomloss.ot.solve(unbalanced)", balanced="geomloss.ot.solve",
        call="geomloss.ot.solve(C, a=a, b=b, reg=reg, unbalanced=rho, max_iter=n).value",
        parameter="unbalanced", rho=RhoParameter.RHO, bias=None,
        potentials=UnbalancedPotentials.DENSITY, note="",
        source="geomloss/ot/_abstract_solvers/unbalanced_ot.py",
    ),
    replace(
        _GEOMLOSS, name="geomloss.ot.solve_sample(unbalanced)",
        balanced="geomloss.ot.solve_sample",
        call="geomloss.ot.solve_sample(X_a, X_b, a, b, reg=reg, unbalanced=rho, max_iter=n).value",
        parameter="unbalanced", rho=RhoParameter.RHO, bias=None,
        potentials=UnbalancedPotentials.DENSITY, note="the cost is |x - y|^2",
        source="geomloss/ot/_implementations/sample.py",
    ),
    replace(
        _GEOMLOSS, name="geomloss.ot.solve_sample(reach)", balanced="geomloss.ot.solve_sample",
        call="geomloss.ot.solve_sample(X_a, X_b, a, b, reg=reg, reach=reach, max_iter=n).value",
        rho=RhoParameter.TWICE_REACH_SQUARED, bias=None,
        potentials=UnbalancedPotentials.DENSITY,
        note="the reach of SamplesLoss(p=2), whose cost is halved",
        source="geomloss/ot/_implementations/sample.py",
    ),
    replace(
        _GEOMLOSS, name="geomloss.ot.solve_sample(unbalanced, debias=True)",
        balanced="geomloss.ot.solve_sample(debias=True)",
        call="geomloss.ot.solve_sample(X_a, X_b, a, b, reg=reg, unbalanced=rho, max_iter=n, "
        "debias=True).value", parameter="unbalanced", rho=RhoParameter.RHO, note="",
        source="geomloss/ot/_abstract_solvers/unbalanced_ot.py",
    ),
)

_FLASH = UnbalancedConvention(
    name="flash_sinkhorn.SamplesLoss(reach)", balanced="flash_sinkhorn.SamplesLoss",
    library="flash-sinkhorn", call="flash_sinkhorn.SamplesLoss('sinkhorn', reach=reach)(a, x, b, "
    "y)", version="0.4.1", checked=Evidence.READ, parameter="reach",
    rho=RhoParameter.REACH_SQUARED, value=UnbalancedValue.UNIT_MASSES,
    potentials=UnbalancedPotentials.DENSITY,
    note="rho = reach^2 on the cost |x - y|^2: half of what the same reach means for GeomLoss, "
    "whose cost is |x - y|^2 / 2, as it is here with half_cost=True. Where only one of reach_x "
    "and reach_y is given, the value is a.f + b.g, the formula of balanced transport (finding F1)",
    source="flash_sinkhorn/samples_loss.py, _autograd.py",
)
_FLASH_ROWS = (
    _FLASH,
    replace(
        _FLASH, name="flash_sinkhorn.SamplesLoss(reach, debias=True)",
        balanced="flash_sinkhorn.SamplesLoss(debias=True)",
        call="flash_sinkhorn.SamplesLoss('sinkhorn', reach=reach, debias=True)(a, x, b, y)",
        value=UnbalancedValue.FULL, bias=True,
        note="each of the three values is wrong, as without debias, but their errors cancel: the "
        "divergence is S of U-8",
    ),
)

UNBALANCED_CONVENTIONS: dict[str, UnbalancedConvention] = {
    row.name: row
    for row in (_REFOT, *_POT_ROWS, *_OTT_ROWS, *_GEOMLOSS_ROWS, *_FLASH_ROWS)
}
"""Every convention of unbalanced transport that refot knows, by name."""
