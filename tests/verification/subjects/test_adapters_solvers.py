"""Adapters of what `refot[peers]` does not install: KeOps, MDOT-TNT, regot, curegot, torchgw, ...

As in test_adapters: each capability of each part agrees with refot to the tolerance of the part but
for those of DEVIATES; and the crash for which an adapter refuses a call still happens.
"""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from adapter_problem import EPS, PROBLEM, A, B, C, measured

import refot
from refot.conventions.convert import CONVENTIONS
from refot.verification.subjects.adapters import curegot, in_double, mdot_tnt
from refot.verification.subjects.adapters.regot import CRASHES, SOLVERS
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.loading import TargetError, load

pytestmark = [pytest.mark.peers]

PACKAGES = {"keops": "pykeops", "mdot-tnt": "mdot_tnt", "regot": "regot",
            "curegot": "curegot", "torchgw": "torchgw", "flash-sinkhorn": "flash_sinkhorn"}

MARK = "0.99, backend='online')"
PARTS = {
    "keops": ("LazyTensor.logsumexp", "LazyTensor((x - y)**2).logsumexp", "LazyTensor.exp().sum",
              "LazyTensor(|x - y|) @ b",
              *(f"SamplesLoss('sinkhorn', p={p}, scaling={MARK}{of}"
                for p in (2, 1) for of in ("", ".backward()"))),
    "mdot-tnt": (*(f"mdot_tnt.solve_OT{of}{plan}" for of in ("", "_batched")
                   for plan in ("", "(return_plan=True)")), "mdot_tnt.mdot.mdot(p: error 1e-09)"),
    "regot": (*(f"regot.sinkhorn_{name}" for name in SOLVERS),
              *(f"regot.sinkhorn_{name}(tol=1e-08, max_iter=20000)"
                for name in ("bcd", "lbfgs_dual", "ssns", "splr"))),
    "torchgw": ("torchgw._solver._sinkhorn_torch",
                "torchgw._solver._sinkhorn_torch(tol=1e-10, max_iter=20000)"),
}

DEVIATES = {
    # M1: its own tolerance
    *((f"mdot_tnt.solve_OT{of}", "transport_cost", "") for of in ("", "_batched")),
    *((f"mdot_tnt.solve_OT{of}(return_plan=True)", "plan", "") for of in ("", "_batched")),
    # R7: its plan is an average over the iterations
    ("regot.sinkhorn_apdagd", "plan", ""),
}


@functools.cache
def subject(library):
    pytest.importorskip(PACKAGES[library], reason=f"needs {library}, which is not installed")
    return load(library)


# ------------------------------------------------------------------ each part
@pytest.mark.parametrize(("library", "name"),
                         [(library, name) for library in PARTS for name in PARTS[library]])
def test_a_part_agrees_with_refot_unless_it_is_known_to_deviate(library, name):
    part = next(part for part in subject(library).parts if part.name == name)
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
    assert re.match(r"\d", subject(library).version)


@pytest.mark.parametrize(("library", "says"), [
    ("keops", "pip install pykeops"), ("mdot-tnt", "non-commercial"),
    ("regot", "pip install regot"), ("curegot", "a CUDA GPU"),
    ("torchgw", "non-commercial use only"), ("flash-sinkhorn", "a CUDA GPU")])
def test_a_missing_library_says_how_to_get_it(library, says, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("geomloss")
    monkeypatch.setitem(sys.modules, PACKAGES[library], None)
    with pytest.raises(TargetError, match=f"^{library}: .* is not installed .*{says}"):
        load(library)


def test_flash_sinkhorn_says_that_it_needs_a_gpu(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "flash_sinkhorn", sys)  # any module in its place
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(TargetError, match="needs a CUDA GPU, and torch finds none"):
        load("flash-sinkhorn")


def test_the_answers_of_curegot_are_read_as_its_source_writes_them(monkeypatch):
    """A stand-in that returns what its binding does: plan, the n + m plain potentials, niter."""

    def sinkhorn(M, a, b, reg, tol=1e-6, max_iter=1000):
        assert M.flags.c_contiguous  # its binding reads row by row
        solved = refot.solve(M, a, b, reg, tol=1e-12)
        plain = solved.f + reg * np.log(a), solved.g + reg * np.log(b)
        return {"plan": refot.plan(solved.f, solved.g, M, a, b, reg),
                "dual": np.concatenate(plain), "niter": max_iter}

    interface = types.SimpleNamespace(sinkhorn_bcd=sinkhorn, sinkhorn_splr=sinkhorn)
    monkeypatch.setitem(sys.modules, "curegot", types.SimpleNamespace(numpy=interface))
    monkeypatch.setattr(curegot, "version", lambda package: "0.1.0")
    parts = curegot.subject().parts
    assert [part.name for part in parts[:2]] == ["curegot.numpy.sinkhorn_bcd",
                                                 "curegot.numpy.sinkhorn_splr"]
    for part in parts:
        assert max(error for _, _, error in measured(part)) < 1e-9
    with pytest.raises(NotImplementedError, match="weights > 0"):
        parts[0].capabilities["plan"](C, np.append(A[:-1], 0.0), B, EPS)


def test_no_extra_of_refot_installs_what_is_licensed_for_non_commercial_use():
    from importlib.metadata import requires

    assert not [line for line in requires("refot") or []
                if re.match("mdot|torchgw", line)]


# ------------------------------------------------------------------ regot
@pytest.mark.parametrize("name", CRASHES)
def test_a_call_that_the_adapter_refuses_ends_the_process(name):
    """Once it does not, the adapter need not refuse it, and R1 of the findings is mended."""
    pytest.importorskip("regot", reason="needs regot, which is not installed")
    program = ("import numpy as np, regot\n"
               f"regot.sinkhorn_{name}(np.ones((2, 1), order='F'), np.full(2, .5), np.ones(1), .3)")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -11
    part = next(part for part in subject("regot").parts if part.name == f"regot.sinkhorn_{name}")
    with pytest.raises(RuntimeError, match="segmentation fault"):
        part.capabilities["plan"](np.ones((2, 1)), np.full(2, 0.5), np.ones(1), 0.3)


def test_regot_is_not_asked_for_what_its_readme_excludes():
    plan = subject("regot").parts[0].capabilities["plan"]
    with pytest.raises(NotImplementedError, match="weights > 0"):
        plan(C, np.append(A[:-1], 0.0), B, EPS)


# ------------------------------------------------------------------ what they share
def test_float32_weights_sum_to_1_in_float64():
    weights = np.full(7, 1 / 7, dtype=np.float32)
    assert abs(weights.astype(np.float64).sum() - 1) > 1e-9
    assert abs(in_double(weights).sum() - 1) < 1e-15


def test_weights_of_another_sum_reach_the_library_as_they_are():
    assert (in_double(2 * B) == 2 * B).all()
    assert np.isnan(in_double(np.append(B, np.nan))).any()


def test_eps_0_reaches_mdot_tnt_as_an_infinite_gamma():
    torch = pytest.importorskip("torch")
    assert mdot_tnt._unit(torch, C, A, B, 0.0).gamma == np.inf
    assert mdot_tnt._unit(torch, C, A, B, -EPS).gamma < 0


def test_keops_takes_any_cost_by_points_of_one_dimension():
    points = subject("keops").parts[1].capabilities["softmin"]
    rows = subject("keops").parts[0].capabilities["softmin"]
    h = PROBLEM[2]
    assert abs(points(C + 7, h, EPS) - rows(C + 7, h, EPS)).max() < 1e-12 * abs(C).max() / EPS
    wide = np.zeros((2, 65))
    with pytest.raises(NotImplementedError, match="more than 64 columns"):
        points(wide, np.zeros(65), EPS)


def test_no_adapter_imports_its_library_before_it_is_asked_for():
    modules = [library.replace("-", "_") for library in PACKAGES]
    program = "import sys\n" + "".join(
        f"import refot.verification.subjects.adapters.{module}\n" for module in modules
    ) + f"print({{'torch', *{list(PACKAGES.values())}}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True,
                           text=True)
    assert found.stdout == "set()\n"
