"""The rules of the package: what imports what, what `import refot` costs, and one version."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import refot

ROOT = Path(__file__).resolve().parents[1]

LAYERS = [
    {"arrays"},
    {"costs", "measures", "files"},
    {"backend_contract", "forbidden"},
    {"problem", "memory", "progress", "sorted_cost"},
    {"transforms", "spanning_tree", "plan_sums"},
    {"gap", "accuracy"},
    {"stopping"},
    {"sinkhorn", "solvers"},
    {"objectives", "plans"},
    {"divergences", "information", "gradients", "printed", "unrolled", "implicit", "semidiscrete",
     "informative_plans", "limits"},
    {"datasets", "datasets_gaussians", "datasets_images", "datasets_idx", "datasets_mnist",
     "datasets_cifar", "datasets_pickle"},
    {"plots", "plots_training", "scores", "scores_classifier"},
    {"networks"},
    {"systems"},
]
"""Imports run one way: a module imports from its own layer and from those above it in this list.

A module that is not listed stands above the core: none of these may import it."""

RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}

HEAVY = ["numba", "flint", "torch", "jax", "ot", "ott", "geomloss", "sklearn", "cupy", "matplotlib",
         "scipy.optimize", "scipy.sparse"]


def modules(folder: str) -> dict[str, Path]:
    """Module name -> file below a top-level folder; refot/backends and refot/verification are
    links to folders of their own, which are walked as such."""
    files = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT / folder).with_suffix("").parts
        if folder != "refot" or parts[0] not in ("backends", "verification"):
            files[".".join(parts)] = path
    return files


def imports(path: Path) -> set[str]:
    """The absolute names that a file imports anywhere in it, statements in functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within_refot(path: Path) -> set[str]:
    """The modules of refot that a file imports, by their first name: `arrays`, `networks`."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("refot.")}


CORE = modules("refot")
FOLDERS = {folder: modules(folder) for folder in ("refot", "backends", "verification")}
EVERY_FILE = [path for files in FOLDERS.values() for path in files.values()]


def test_the_walk_sees_the_package():
    assert set(RANK) - {"networks", "solvers", "systems", "gradients"} <= set(CORE)
    assert "numpy_backend" in FOLDERS["backends"]
    assert within_refot(CORE["problem"]) == {"arrays", "backend_contract", "costs", "forbidden"}


@pytest.mark.parametrize("name", sorted(set(CORE) - {"cli", "__main__"}))
def test_refot_never_imports_its_backends_or_its_verifier(name):
    """The contract loads a backend by name, when it is first used; only cli stands above all, and
    `__main__`, which calls it."""
    assert not within_refot(CORE[name]) & {"backends", "verification", "cli"}


@pytest.mark.parametrize("name", sorted(name for name in CORE if name.split(".")[0] in RANK))
def test_imports_of_the_core_run_one_way(name):
    rank = RANK[name.split(".")[0]]
    for other in within_refot(CORE[name]):
        assert other in RANK, f"{name} is core and imports {other}, which is not"
        assert RANK[other] <= rank, f"{name} imports {other}, which stands above it"


def test_no_two_modules_import_each_other():
    graph = {name: within_refot(path) - {name.split(".")[0]} for name, path in CORE.items()}
    TopologicalSorter(graph).prepare()  # CycleError names the cycle


@pytest.mark.parametrize("name", sorted(FOLDERS["backends"]))
def test_backends_know_arrays_costs_and_the_contract_only(name):
    found = within_refot(FOLDERS["backends"][name])
    assert found <= {"arrays", "costs", "sorted_cost", "backend_contract"}


@pytest.mark.parametrize("path", EVERY_FILE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_climbs_with_dots_or_uses_the_bare_folder_names(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert all(node.level <= 1 for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    assert not {name.split(".")[0] for name in imports(path)} & {"backends", "verification"}


def test_import_refot_is_light():
    """It loads neither a compiler, nor a rival, nor the parts of SciPy that take long."""
    code = f"import sys, refot; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_backends_of_the_runtime_dependencies_run():
    """NumPy and Numba are required: a fixture that silently had only one would test too little."""
    available = {status.name for status in refot.backend_status() if status.available}
    assert {"numpy", "numba"} <= available


def test_every_public_name_exists_and_is_listed_in_order():
    assert refot.__all__ == sorted(refot.__all__)
    assert all(getattr(refot, name).__doc__ for name in refot.__all__)


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_one_version(project):
    assert refot.__version__ == project["project"]["version"]


def test_every_folder_with_modules_is_packaged(project):
    """Setuptools maps by hand here: a sub-package that is not listed is not installed."""
    setuptools = project["tool"]["setuptools"]
    homes = {"refot": "refot", "backends": "refot.backends", "verification": "refot.verification"}
    needed = set()
    for folder, files in FOLDERS.items():
        for path in files.values():
            parts = path.relative_to(ROOT / folder).parent.parts
            needed.add(".".join([homes[folder], *parts]))
    assert needed <= set(setuptools["packages"])
    for package in setuptools["packages"]:
        home = setuptools["package-dir"].get(package, package.replace(".", "/"))
        assert (ROOT / home / "__init__.py").is_file(), package


def test_an_uninstalled_checkout_sees_the_same_names():
    for name in ("backends", "verification"):
        link = ROOT / "refot" / name
        assert link.is_symlink()
        assert link.readlink() == Path("..") / name


def test_the_package_says_that_it_is_typed(project):
    assert (ROOT / "refot" / "py.typed").is_file()
    assert project["tool"]["setuptools"]["package-data"]["refot"] == ["py.typed"]


def test_python_m_refot_is_the_command():
    found = subprocess.run([sys.executable, "-m", "refot", "--version"], capture_output=True,
                           text=True, check=True)
    assert found.stdout == f"refot {refot.__version__}\n"
