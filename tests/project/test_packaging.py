"""The rules of the package: what `import refot` costs, what is installed, and one version."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import refot

ROOT = Path(__file__).resolve().parents[2]

HEAVY = ["numba", "flint", "torch", "jax", "ot", "ott", "geomloss", "sklearn", "cupy", "matplotlib",
        "pandas", "polars", "array_api_compat",
         "scipy.optimize", "scipy.sparse",
         "json", "zipfile", "hashlib", "secrets", "html",
         "refot.gradients", "refot.information", "refot.solvers.scaling"]


def modules(folder: str) -> dict[str, Path]:
    """Module name -> file below a top-level folder; refot/backends and refot/verification are
    links to folders of their own, which are walked as such."""
    files = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT / folder).with_suffix("").parts
        if folder != "refot" or parts[0] not in ("backends", "verification"):
            files[".".join(parts)] = path
    return files


FOLDERS = {folder: modules(folder) for folder in ("refot", "backends", "verification")}


def test_import_refot_is_light():
    """It loads neither a compiler, nor a rival, nor the parts of SciPy that take long, nor what a
    solve does not need."""
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
    """Setuptools maps by hand here: a sub-package that is not listed is not installed. The tools
    of developers are for the checkout alone."""
    setuptools = project["tool"]["setuptools"]
    homes = {"refot": "refot", "backends": "refot.backends", "verification": "refot.verification"}
    needed = set()
    for folder, files in FOLDERS.items():
        for path in files.values():
            parts = path.relative_to(ROOT / folder).parent.parts
            needed.add(".".join([homes[folder], *parts]))
    tools = {name for name in needed if name.startswith("refot.verification.tools")}
    assert tools
    assert needed - tools == set(setuptools["packages"]) - {"pytest_refot"}
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
