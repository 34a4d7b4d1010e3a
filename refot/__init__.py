"""refot: the reference for entropic optimal transport and the generative models built on it.

Everywhere the plan is P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), with costs C (n, m), weights
a (n,) and b (m,), and potentials f (n,) and g (m,); f, g and eps are in the units of the cost.
A value contains the KL term, <C,P> + eps KL(P | a(x)b), where a(x)b is the product measure, with
the masses a_i b_j; a "sharp" value, <C,P>, does not contain it. `sinkhorn_loss` and `scaling_loss`
are made of sharp values, as G defines them.
docs/equations.md maps every equation of the four papers to its function here, and names the papers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from refot.arrays import ConvergenceWarning, InputError
from refot.backend_contract import (
    Backend,
    BackendUnavailableError,
    backend_status,
    get_backend,
    use_backend,
)
from refot.costs.operands import DenseCost, PointCost, normalised, point_cost
from refot.divergences import (
    SolvedDivergence,
    entropic_value,
    mmd_squared,
    mmd_squared_unbiased,
    sharp_value,
    sinkhorn_divergence,
    sinkhorn_divergence_of_costs,
    sinkhorn_loss,
    sinkhorn_loss_of_costs,
    solve_divergence,
    solve_divergence_of_costs,
)
from refot.measures import Measure, measure
from refot.objectives import (
    dual,
    entropic_primal,
    entropy,
    kantorovich,
    kantorovich_dual,
    kantorovich_rubinstein,
    kl,
    kl_from_product,
    log_dual,
    primal,
    semi_dual,
    semi_dual_gradient,
    transport_cost,
)
from refot.plans import marginal_error, marginals, plan, round_to_marginals, semi_dual_plan
from refot.solvers import solve
from refot.solvers.loop import SinkhornResult
from refot.solvers.sinkhorn import sinkhorn_log
from refot.solvers.symmetric import sinkhorn_symmetric
from refot.solvers.unbalanced.result import UnbalancedResult
from refot.transforms import c_eps_transform, c_transform, conditional, softmin

if TYPE_CHECKING:
    from refot.autodiff.jvp import plan_jvp, potentials_jvp
    from refot.autodiff.value_and_gradient import (
        ValueAndGradient,
        entropic_value_and_gradient,
        sharp_value_and_gradient,
        sinkhorn_divergence_value_and_gradient,
        sinkhorn_loss_value_and_gradient,
        unbalanced_divergence_value_and_gradient,
        unbalanced_value_and_gradient,
    )
    from refot.batches.pairwise import pairwise
    from refot.batches.result import BatchResult
    from refot.batches.solve import solve_batch
    from refot.gradients import (
        entropic_value_gradient_eps,
        entropic_value_gradient_points,
        entropic_value_gradient_weights,
        generator_loss,
        generator_loss_gradient,
        mmd_squared_gradient,
        mmd_squared_gradient_weights,
        mmd_squared_unbiased_gradient,
        mmd_squared_unbiased_gradient_weights,
        q_objective_gradient,
        semi_dual_gradient_points,
        semi_dual_gradient_q,
        sinkhorn_divergence_gradient,
        sinkhorn_divergence_gradient_eps,
        sinkhorn_divergence_gradient_weights,
        sinkhorn_divergence_of_costs_gradient_weights,
    )
    from refot.implicit import (
        sharp_value_gradient,
        sharp_value_gradient_points,
        sharp_value_gradient_weights,
        sinkhorn_loss_gradient,
    )
    from refot.information import (
        informative_cost,
        informative_plan,
        kl_dual,
        mutual_information,
        q_objective,
        sum_noise,
    )
    from refot.limits.eps_path import EpsPath, path
    from refot.limits.exact_transport import ExactTransport, exact
    from refot.solvers.answers.load import load_solution
    from refot.solvers.scaling import scaling_iterates, scaling_loss, sinkhorn_scaling
    from refot.unbalanced.gradients import (
        unbalanced_divergence_gradient,
        unbalanced_divergence_gradient_weights,
        unbalanced_value_gradient_eps,
        unbalanced_value_gradient_points,
        unbalanced_value_gradient_rho,
        unbalanced_value_gradient_weights,
    )
    from refot.unbalanced.limits import unbalanced_limits
    from refot.unbalanced.objectives import (
        unbalanced_certified_gap,
        unbalanced_dual,
        unbalanced_marginals,
        unbalanced_multiple,
        unbalanced_plan,
        unbalanced_primal,
        unbalanced_shift,
    )
    from refot.unbalanced.values import (
        solve_unbalanced_divergence,
        unbalanced_divergence,
        unbalanced_divergence_of_costs,
        unbalanced_value,
    )
    from refot.unrolled import (
        scaling_loss_gradient,
        scaling_loss_gradient_log,
        scaling_loss_gradient_points,
        scaling_loss_gradient_self,
    )

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BackendUnavailableError",
    "BatchResult",
    "ConvergenceWarning",
    "DenseCost",
    "EpsPath",
    "ExactTransport",
    "InputError",
    "Measure",
    "PointCost",
    "SinkhornResult",
    "SolvedDivergence",
    "UnbalancedResult",
    "ValueAndGradient",
    "backend_status",
    "c_eps_transform",
    "c_transform",
    "conditional",
    "dual",
    "entropic_primal",
    "entropic_value",
    "entropic_value_and_gradient",
    "entropic_value_gradient_eps",
    "entropic_value_gradient_points",
    "entropic_value_gradient_weights",
    "entropy",
    "exact",
    "generator_loss",
    "generator_loss_gradient",
    "get_backend",
    "informative_cost",
    "informative_plan",
    "kantorovich",
    "kantorovich_dual",
    "kantorovich_rubinstein",
    "kl",
    "kl_dual",
    "kl_from_product",
    "load_solution",
    "log_dual",
    "marginal_error",
    "marginals",
    "measure",
    "mmd_squared",
    "mmd_squared_gradient",
    "mmd_squared_gradient_weights",
    "mmd_squared_unbiased",
    "mmd_squared_unbiased_gradient",
    "mmd_squared_unbiased_gradient_weights",
    "mutual_information",
    "normalised",
    "pairwise",
    "path",
    "plan",
    "plan_jvp",
    "point_cost",
    "potentials_jvp",
    "primal",
    "q_objective",
    "q_objective_gradient",
    "round_to_marginals",
    "scaling_iterates",
    "scaling_loss",
    "scaling_loss_gradient",
    "scaling_loss_gradient_log",
    "scaling_loss_gradient_points",
    "scaling_loss_gradient_self",
    "semi_dual",
    "semi_dual_gradient",
    "semi_dual_gradient_points",
    "semi_dual_gradient_q",
    "semi_dual_plan",
    "sharp_value",
    "sharp_value_and_gradient",
    "sharp_value_gradient",
    "sharp_value_gradient_points",
    "sharp_value_gradient_weights",
    "sinkhorn_divergence",
    "sinkhorn_divergence_gradient",
    "sinkhorn_divergence_gradient_eps",
    "sinkhorn_divergence_gradient_weights",
    "sinkhorn_divergence_of_costs",
    "sinkhorn_divergence_of_costs_gradient_weights",
    "sinkhorn_divergence_value_and_gradient",
    "sinkhorn_log",
    "sinkhorn_loss",
    "sinkhorn_loss_gradient",
    "sinkhorn_loss_of_costs",
    "sinkhorn_loss_value_and_gradient",
    "sinkhorn_scaling",
    "sinkhorn_symmetric",
    "softmin",
    "solve",
    "solve_batch",
    "solve_divergence",
    "solve_divergence_of_costs",
    "solve_unbalanced_divergence",
    "sum_noise",
    "transport_cost",
    "unbalanced_certified_gap",
    "unbalanced_divergence",
    "unbalanced_divergence_gradient",
    "unbalanced_divergence_gradient_weights",
    "unbalanced_divergence_of_costs",
    "unbalanced_divergence_value_and_gradient",
    "unbalanced_dual",
    "unbalanced_limits",
    "unbalanced_marginals",
    "unbalanced_multiple",
    "unbalanced_plan",
    "unbalanced_primal",
    "unbalanced_shift",
    "unbalanced_value",
    "unbalanced_value_and_gradient",
    "unbalanced_value_gradient_eps",
    "unbalanced_value_gradient_points",
    "unbalanced_value_gradient_rho",
    "unbalanced_value_gradient_weights",
    "use_backend",
]

_LATER = {
    "refot.gradients": (
        "entropic_value_gradient_eps", "entropic_value_gradient_points",
        "entropic_value_gradient_weights", "generator_loss", "generator_loss_gradient",
        "mmd_squared_gradient", "mmd_squared_gradient_weights", "mmd_squared_unbiased_gradient",
        "mmd_squared_unbiased_gradient_weights", "q_objective_gradient",
        "semi_dual_gradient_points", "semi_dual_gradient_q", "sinkhorn_divergence_gradient",
        "sinkhorn_divergence_gradient_eps", "sinkhorn_divergence_gradient_weights",
        "sinkhorn_divergence_of_costs_gradient_weights",
    ),
    "refot.information": (
        "informative_cost", "informative_plan", "kl_dual", "mutual_information", "q_objective",
        "sum_noise",
    ),
    "refot.solvers.scaling": (
        "scaling_iterates", "scaling_loss", "sinkhorn_scaling",
    ),
    "refot.autodiff.jvp": ("plan_jvp", "potentials_jvp"),
    "refot.autodiff.value_and_gradient": (
        "ValueAndGradient", "entropic_value_and_gradient", "sharp_value_and_gradient",
        "sinkhorn_divergence_value_and_gradient", "sinkhorn_loss_value_and_gradient",
        "unbalanced_divergence_value_and_gradient", "unbalanced_value_and_gradient",
    ),
    "refot.batches.pairwise": ("pairwise",),
    "refot.batches.result": ("BatchResult",),
    "refot.batches.solve": ("solve_batch",),
    "refot.implicit": (
        "sharp_value_gradient", "sharp_value_gradient_points", "sharp_value_gradient_weights",
        "sinkhorn_loss_gradient",
    ),
    "refot.limits.eps_path": ("EpsPath", "path"),
    "refot.limits.exact_transport": ("ExactTransport", "exact"),
    "refot.solvers.answers.load": ("load_solution",),
    "refot.unbalanced.gradients": (
        "unbalanced_divergence_gradient", "unbalanced_divergence_gradient_weights",
        "unbalanced_value_gradient_eps", "unbalanced_value_gradient_points",
        "unbalanced_value_gradient_rho", "unbalanced_value_gradient_weights",
    ),
    "refot.unbalanced.limits": ("unbalanced_limits",),
    "refot.unbalanced.objectives": (
        "unbalanced_certified_gap", "unbalanced_dual", "unbalanced_marginals",
        "unbalanced_multiple", "unbalanced_plan", "unbalanced_primal", "unbalanced_shift",
    ),
    "refot.unbalanced.values": (
        "solve_unbalanced_divergence", "unbalanced_divergence", "unbalanced_divergence_of_costs",
        "unbalanced_value",
    ),
    "refot.unrolled": (
        "scaling_loss_gradient", "scaling_loss_gradient_log", "scaling_loss_gradient_points",
        "scaling_loss_gradient_self",
    ),
}
"""By module, the public names that are imported only when one of them is first used: to import them
at once would take a third of the time of `import refot`."""

_HOME = {name: module for module, names in _LATER.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name of `_LATER` from its module, when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value  # so that Python does not call this function for it again
    return value


def __dir__() -> list[str]:
    """Every name of the module, those of `_LATER` included."""
    return sorted({*globals(), *_HOME})
