"""Conventions of single solvers and of the code of papers: flash-sinkhorn, MDOT-TNT, regot, ...

Data only, a part of `refot.conventions.table`, whose docstring says what RUN and READ mean.
"""

from __future__ import annotations

from dataclasses import replace

from refot.conventions.terms import (
    Convention,
    Divergence,
    EpsParameter,
    Evidence,
    PotentialForm,
    TheirCost,
    ValueKind,
)

MATRIX = (TheirCost("matrix", None),)
SQEUCLIDEAN = (TheirCost("sqeuclidean", "sqeuclidean"),)

_FLASH = Convention(
    name="flash_sinkhorn.SamplesLoss", library="flash-sinkhorn",
    call="flash_sinkhorn.SamplesLoss('sinkhorn')(a, x, b, y)", version="0.4.1",
    checked=Evidence.READ, value=ValueKind.KL,
    costs=(*SQEUCLIDEAN, TheirCost("half_cost=True", "sqeuclidean", 0.5)), parameter="blur",
    eps=EpsParameter.BLUR_SQUARED, potentials=PotentialForm.DENSITY,
    stopping="none: one update at each eps from diameter^2 down by scaling^2 to blur^2; or eps, "
    "n_iters and a threshold on the change of the potentials",
    defaults_of="flash_sinkhorn:SamplesLoss",
    defaults={"loss": "sinkhorn", "p": 2, "blur": 0.05, "scaling": 0.5, "debias": False,
              "backend": "symmetric", "normalize": True, "allow_tf32": True, "half_cost": False},
    note="debias is False by default, but True in GeomLoss and in the examples of the README here; "
    "float32 throughout, points and products rounded to TF32 unless allow_tf32=False; CUDA only",
    source="flash_sinkhorn/samples_loss.py, _autograd.py",
)
SOLVER_ROWS: tuple[Convention, ...] = (
    _FLASH,
    replace(
        _FLASH, name="flash_sinkhorn.SamplesLoss(debias=True)",
        call="flash_sinkhorn.SamplesLoss('sinkhorn', debias=True)(a, x, b, y)",
        divergence=Divergence.HALVES, returns_divergence=True, defaults_of="", defaults={},
        note="potentials=True returns those of (x, y), not the differences that GeomLoss returns",
    ),
    Convention(
        name="mdot_tnt.solve_OT", library="MDOT-TNT",
        call="mdot_tnt.solve_OT(r, c, C, gamma_f=gamma)", version="1.0.0", checked=Evidence.RUN,
        value=ValueKind.SHARP, costs=MATRIX, parameter="gamma_f", eps=EpsParameter.GAMMA,
        potentials=PotentialForm.LOG_SCALING,
        stopping="1-norm error <= min(H(r), H(c)) / (2 gamma^1.5), of marginals smoothed by as "
        "much; fixed inside",
        defaults_of="mdot_tnt:solve_OT",
        defaults={"gamma_f": 1024.0, "drop_tiny": False, "return_plan": False, "round": True},
        note="the cost of the plan rounded to exact marginals: an upper bound of W0, off the "
        "sharp value by what the tolerance allows (22 % at eps = 1/2 on a 6 x 5 case); scale C to "
        "[0, 1]",
        source="mdot_tnt/__init__.py, mdot.py, rounding.py",
    ),
    Convention(
        name="regot.sinkhorn", library="regot", call="regot.sinkhorn_*(M, a, b, reg).obj_vals[-1]",
        version="0.0.3", checked=Evidence.RUN, value=ValueKind.NEGATED_DUAL, costs=MATRIX,
        parameter="reg", potentials=PotentialForm.PLAIN,
        stopping="2-norm of the gradient of the dual < 1e-6, at most 1000; no converged flag",
        defaults_of="regot:sinkhorn_ssns", defaults={"tol": 1e-6, "max_iter": 1000, "verbose": 0},
        note="its entropy is sum P (1 - log P), which lowers the minimum by eps; dual holds f, "
        "then g without its last entry, which is 0",
        source="regot README; compared with a converged solve",
    ),
    Convention(
        name="sinkhorn_gan.primal", library="audeg/Sinkhorn-GAN", call="sinkhorn_loss_primal",
        version="ea4345a", checked=Evidence.READ, value=ValueKind.SHARP,
        divergence=Divergence.TWICE, costs=(TheirCost("_squared_distances", "l1"),),
        parameter="epsilon",
        stopping="sum |u - previous u| < 0.1, at most niter (1, 10 or 100)",
        note="the function named _squared_distances is the l1 distance; log(sum exp(.) + 1e-6) "
        "biases every update; uniform weights. The training script forms 2W - W - W",
        source="github.com/audeg/Sinkhorn-GAN, sinkhorn.py",
    ),
    Convention(
        name="sinkhorn_gan.dual", library="audeg/Sinkhorn-GAN", call="sinkhorn_loss_dual",
        version="ea4345a", checked=Evidence.READ, value=ValueKind.ENTROPY,
        divergence=Divergence.TWICE, costs=(TheirCost("_squared_distances", "l1"),),
        parameter="epsilon", stopping="as sinkhorn_gan.primal",
        note="mu.u + nu.v of plain potentials; the rest as sinkhorn_gan.primal",
        source="github.com/audeg/Sinkhorn-GAN, sinkhorn.py",
    ),
    Convention(
        name="sdot.SDOT", library="ahoudard/SDOT", call="sdot.modules.SDOT(reg_param, y)(x)",
        version="2efe2ba", checked=Evidence.READ, value=ValueKind.UNWEIGHTED_LSE,
        costs=(TheirCost("|x - y|^2 / mean |y|^2", "sqeuclidean", None),), parameter="reg_param",
        potentials=PotentialForm.DENSITY, stopping="none: an ascent of the semi-dual in psi",
        note="one value for each x_i: take the mean. Uniform weights only; psi = g, f its softmin",
        source="github.com/ahoudard/SDOT, sdot/modules.py",
    ),
    Convention(
        name="sdot.entropic_SDOT", library="ahoudard/SDOT",
        call="expe_tmlr.discriminator.entropic_SDOT(y, nu, lambd, device)(x)", version="7ecaea7",
        checked=Evidence.READ, value=ValueKind.KL,
        costs=(TheirCost("|x - y|^2 / mean |y|^2", "sqeuclidean", None),), parameter="lambd",
        potentials=PotentialForm.DENSITY, stopping="none: an ascent of the semi-dual in psi",
        note="log nu is inside the softmin, but the other term is mean(psi): right for uniform nu "
        "only, and on a batch of k of the m points too high by eps log(m/k)",
        source="github.com/ahoudard/SDOT, expe_tmlr/discriminator.py",
    ),
)
