"""Adapters: each function of POT, OTT-JAX and GeomLoss against refot, on one ordinary problem.

Each capability of each part agrees to the tolerance that the part states, in the verifier's units,
but for those listed as DEVIATES, which do not: docs/findings.md says why. A deviation that is gone
fails as well: then the library has changed, and the page with it.
"""

from __future__ import annotations

import functools
import importlib
import sys

import numpy as np
import pytest
from adapter_problem import ALL_COSTS, EPS, G0, PROBLEM, C, measured

from refot.conventions.convert import CONVENTIONS
from refot.costs.ground import GROUND_COSTS
from refot.verification.subjects.adapters import as_clouds, require
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.loading import load

pytestmark = [
    pytest.mark.peers,
    # said when OTT-JAX is imported
    pytest.mark.filterwarnings("ignore:JAXopt is no longer maintained:DeprecationWarning"),
    # said by POT's greenkhorn, which is not; by screenkhorn; by GeomLoss with a gradient
    pytest.mark.filterwarnings("ignore:Sinkhorn did not converge:UserWarning"),
    pytest.mark.filterwarnings("ignore:Bottleneck module is not installed:UserWarning"),
    # said by sinkhorn_unbalanced whenever it is asked for entropy; by SciPy to POT
    pytest.mark.filterwarnings("ignore:If reg_type = entropy:UserWarning"),
    pytest.mark.filterwarnings("ignore:scipy.optimize. The `disp`:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True:UserWarning"),
]

PACKAGES = {"pot": "ot", "ott": "ott", "geomloss": "geomloss"}

OF_TAU = "linear.solve(tau_a=tau, tau_b=tau, threshold=1e-09)"

PARTS = {
    "pot": (
        "ot.sinkhorn(method='sinkhorn')",
        "ot.sinkhorn(method='sinkhorn_log')",
        "ot.sinkhorn(method='sinkhorn_stabilized')",
        "ot.sinkhorn(method='greenkhorn')",
        "ot.sinkhorn(method='sinkhorn_epsilon_scaling')",
        "ot.sinkhorn2(method='sinkhorn')",
        "ot.sinkhorn2(method='sinkhorn_log')",
        "ot.sinkhorn2(method='sinkhorn_stabilized')",
        "ot.bregman.greenkhorn",
        "ot.bregman.screenkhorn",
        "ot.solve(reg_type='KL')",
        "ot.solve(reg_type='entropy')",
        "ot.solve_batch",
        "ot.solve_batch(reg_type='kl', tol=1e-09, max_iter=1000)",
        "ot.solve_sample",
        "ot.solve_sample(lazy=True)",
        "ot.solve_sample(debias=True)",
        "ot.bregman.empirical_sinkhorn",
        "ot.bregman.empirical_sinkhorn2",
        "ot.bregman.empirical_sinkhorn_divergence",
        "ot.bregman.empirical_sinkhorn2_geomloss(debias=True)",
        "ot.sinkhorn2(numItermax=L, stopThr=0)",
        "ot.stochastic.c_transform_entropic",
        "ot.stochastic.loss_dual_entropic",
        "ot.stochastic.coordinate_grad_semi_dual",
        "ot.stochastic.solve_semi_dual_entropic(method='SAG')",
        "ot.stochastic.solve_semi_dual_entropic(method='ASGD')",
        "ot.stochastic.solve_dual_entropic(batch_size=min(n, m))",
        "ot.da.SinkhornTransport().fit().coupling_",
        *(f"ot.unbalanced.sinkhorn_unbalanced(method='{method}', reg_type='{reg_type}')"
          for method in ("sinkhorn", "sinkhorn_stabilized", "sinkhorn_translation_invariant")
          for reg_type in ("kl", "entropy")),
        "ot.unbalanced.sinkhorn_unbalanced2(returnCost='total')",
        "ot.solve(unbalanced=reg_m)",
        "ot.solve(reg_type='entropy', unbalanced=reg_m)",
        "ot.unbalanced.mm_unbalanced(reg=reg)",
        "ot.unbalanced.lbfgsb_unbalanced",
    ),
    "ott": (
        "Sinkhorn()",
        "Sinkhorn().ent_reg_cost",
        "Sinkhorn().dual_cost",
        "Sinkhorn(lse_mode=False)",
        "Sinkhorn(threshold=1e-9)",
        "sinkhorn_divergence(PointCloud)",
        "jax.value_and_grad(sinkhorn_divergence(PointCloud))",
        "compute_kl_reg_cost",
        "Geometry.apply_lse_kernel",
        OF_TAU,
        f"{OF_TAU} on the cost of KL to 1",
        "sinkhorn_divergence(PointCloud, solve_kwargs={tau_a, tau_b})",
    ),
    "geomloss": (
        "SamplesLoss('sinkhorn', p=2)",
        "SamplesLoss('sinkhorn', p=2, scaling=0.99)",
        "SamplesLoss('sinkhorn', p=2, scaling=0.99).backward()",
        "SamplesLoss('sinkhorn', p=1)",
        "SamplesLoss('sinkhorn', p=1, scaling=0.99)",
        "SamplesLoss('sinkhorn', p=1, scaling=0.99).backward()",
        "SamplesLoss('sinkhorn', debias=False, cost=C, scaling=0.99)",
        "SamplesLoss('sinkhorn', debias=False, cost=C, scaling=0.99, potentials=True)",
        "SamplesLoss('energy')",
        "geomloss.ot.solve(max_iter=300).value",
        "geomloss.ot.solve(max_iter=300).plan, .potential_a, .potential_b",
        "geomloss.ot.solve_sample(max_iter=300).value",
        "geomloss.ot.solve_sample(max_iter=300).plan, .potential_a, .potential_b",
        "geomloss.ot.solve_sample(max_iter=300, debias=True).value",
        "geomloss.ot.solve_sample(max_iter=300, debias=True).value.backward()",
        "geomloss.ot.solve_batch(max_iter=300).value",
        "geomloss.ot.solve_batch(max_iter=300).plan, .potential_a, .potential_b",
        "SamplesLoss('sinkhorn', p=2, scaling=0.99) of a batch",
        "SamplesLoss('sinkhorn', p=2, scaling=0.99) of a batch.backward()",
        "SamplesLoss('sinkhorn', p=2, reach=reach, scaling=0.99)",
        "SamplesLoss('sinkhorn', p=2, reach=reach, scaling=0.99).backward()",
        "SamplesLoss('sinkhorn', p=1, reach=reach, scaling=0.99)",
        "SamplesLoss('sinkhorn', p=1, reach=reach, scaling=0.99).backward()",
        "SamplesLoss('sinkhorn', p=2, reach=reach, debias=False, scaling=0.99)",
        "geomloss.ot.solve(unbalanced=rho, max_iter=300).value",
        "geomloss.ot.solve(unbalanced=rho, max_iter=300).plan, .potential_a, .potential_b",
        "geomloss.ot.solve_sample(unbalanced=..., max_iter=300, debias=True).value",
        "geomloss.ot.solve_sample(reach=..., max_iter=300, debias=True).value",
    ),
}

DEVIATES = {
    # an approximation: half of the points are screened out
    ("ot.bregman.screenkhorn", "plan", ""),
    # P5, P6, P8, P9
    *(("ot.bregman.empirical_sinkhorn_divergence", "divergence", cost) for cost in ALL_COSTS),
    *(("ot.bregman.empirical_sinkhorn2_geomloss(debias=True)", "divergence", cost)
      for cost in ("sqeuclidean", "euclidean")),
    ("ot.solve_sample(debias=True)", "divergence_gradient", "euclidean"),
    ("ot.stochastic.solve_semi_dual_entropic(method='ASGD')", "plan", ""),
    # O1
    *(("jax.value_and_grad(sinkhorn_divergence(PointCloud))", "divergence", cost)
      for cost in ("euclidean", "l1")),
    # G1, G3, G6
    ("geomloss.ot.solve_sample(max_iter=300, debias=True).value.backward()",
     "divergence_gradient", "sqeuclidean"),
    ("SamplesLoss('energy')", "mmd", "euclidean"),
    *(("SamplesLoss('sinkhorn', p=2)", of, "sqeuclidean")
      for of in ("divergence", "divergence_gradient")),
    *(("SamplesLoss('sinkhorn', p=1)", of, cost)
      for of in ("divergence", "divergence_gradient") for cost in ("euclidean", "l1")),
    # P18, O6, G7 (docs/findings-unbalanced.md)
    ("ot.unbalanced.sinkhorn_unbalanced2(returnCost='total')", "unbalanced_value", ""),
    ("ot.solve(unbalanced=reg_m)", "unbalanced_value", ""),
    *((OF_TAU, f"unbalanced_{what}", "") for what in ("plan", "potentials", "value")),
    *(("sinkhorn_divergence(PointCloud, solve_kwargs={tau_a, tau_b})", "unbalanced_divergence",
       cost) for cost in ("euclidean", "l1")),
    ("SamplesLoss('sinkhorn', p=2, reach=reach, debias=False, scaling=0.99)",
     "unbalanced_divergence", "sqeuclidean"),
}

@functools.cache
def subject(library):
    pytest.importorskip(PACKAGES[library])
    return load(library)


NEEDS = {
    "ot.bregman.empirical_sinkhorn2_geomloss(debias=True)": "geomloss",
    "ot.sinkhorn2(numItermax=L, stopThr=0)": "torch",
}
"""Parts of a library that call another one, without which they offer nothing."""


# ------------------------------------------------------------------ each part
@pytest.mark.parametrize(("library", "name"),
                         [(library, name) for library in PARTS for name in PARTS[library]])
def test_a_part_agrees_with_refot_unless_it_is_known_to_deviate(library, name):
    part = next(part for part in subject(library).parts if part.name == name)
    pytest.importorskip(NEEDS.get(name, "numpy"))
    tolerance = 1e-6 if part.tolerance is None else part.tolerance
    errors = list(measured(part))
    assert errors
    for capability, cost, error in errors:
        deviates = (name, capability, cost) in DEVIATES
        assert (error <= tolerance) != deviates, (capability, cost, error, tolerance)


@pytest.mark.parametrize("library", PARTS)
def test_parts_are_named_once_and_offer_what_the_verifier_knows(library):
    parts = subject(library).parts
    assert [part.name for part in parts] == list(PARTS[library])
    assert len(set(PARTS[library])) == len(PARTS[library])
    for part in parts:
        assert part.capabilities.keys() <= CAPABILITIES.keys()
        assert part.convention == "refot"  # everything is converted
        assert part.calls in {"", *CONVENTIONS}
    assert subject(library).version


def test_every_known_deviation_is_one_of_a_part():
    named = {name for names in PARTS.values() for name in names}
    assert {name for name, _, _ in DEVIATES} <= named


@pytest.mark.parametrize("library", PARTS)
def test_a_missing_library_says_how_to_get_it(library, monkeypatch):
    adapter = importlib.import_module(f"refot.verification.subjects.adapters.{library}")
    monkeypatch.setitem(sys.modules, PACKAGES[library], None)
    if library == "geomloss":
        pytest.importorskip("torch")  # asked for first
    with pytest.raises(ImportError, match=r"pip install 'refot\[peers\]'"):
        adapter.subject()


# ------------------------------------------------------------------ what they share
@pytest.mark.parametrize("matrix", [C, C + 1e4, C.T, np.full((3, 2), 7.0), np.array([[-2.0]])])
def test_clouds_have_the_cost_up_to_a_term_for_each_row(matrix):
    x, y, r = as_clouds(matrix)
    squared = GROUND_COSTS["sqeuclidean"].matrix(x, y)
    scale = abs(matrix).max() + abs(r).max()
    assert abs(squared - matrix - r[:, None]).max() <= 16 * np.finfo(float).eps * scale


def test_a_module_that_is_there_is_returned():
    assert require("sys", "Python") is sys


def test_stochastic_solvers_repeat_and_leave_the_global_generator_alone():
    name = "ot.stochastic.solve_semi_dual_entropic(method='ASGD')"
    solve = next(part for part in subject("pot").parts if part.name == name).capabilities["plan"]
    before = np.random.get_state()  # noqa: NPY002 - the state that POT draws from
    first = solve(*PROBLEM)
    after = np.random.get_state()  # noqa: NPY002
    assert (solve(*PROBLEM) == first).all()
    assert (before[1] == after[1]).all()
    assert before[2] == after[2]


def test_jax_keeps_its_own_precision_outside():
    jax = pytest.importorskip("jax")
    softmin = next(part.capabilities["softmin"] for part in subject("ott").parts
                   if "softmin" in part.capabilities)
    assert softmin(C, G0, EPS).dtype == np.float64
    assert softmin(C.astype(np.float32), G0.astype(np.float32), EPS).dtype == np.float32
    assert jax.numpy.zeros(1).dtype == np.float32
