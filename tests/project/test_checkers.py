"""The two checkers of docs/checkers: they accept honest certificates and refuse forged ones."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from json_schema import JsonSchema

from refot.arrays import ConvergenceWarning
from refot.certificate import TravellingCertificate
from refot.problem import problem
from refot.solvers import solve
from refot.verification.certificates.certify import certify
from refot.verification.runs.certificate_files import travelling
from refot.verification.runs.certify import Certified

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "checkers"
CHECKERS = {
    "Python": [sys.executable, "-I", "-S", str(FOLDER / "check.py")],  # no package at all
    "JavaScript": ["node", str(FOLDER / "check.mjs")],
}
LANGUAGES = pytest.mark.parametrize("language", [
    pytest.param(name, marks=pytest.mark.skipif(shutil.which(command[0]) is None,
                                                reason=f"no {command[0]}"))
    for name, command in CHECKERS.items()])

Document = dict[str, Any]


def checked(language: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """What the checker says of the files."""
    return subprocess.run([*CHECKERS[language], *map(str, files)], capture_output=True, text=True,
                          check=False, timeout=300)


def certificate(seed: int, **options: Any) -> TravellingCertificate:
    """An honest one, of a random problem with uneven weights, some of them 0."""
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 9, size=2)
    C = rng.normal(size=(n, m)) + rng.choice([0, 0, 100])
    a, b = rng.dirichlet(np.full(n, 0.3)), rng.dirichlet(np.ones(m))
    if n > 2 and a[0] < 1:
        a[0] = 0
        a /= a.sum()
    eps = float(abs(C).max() * 10.0 ** rng.uniform(-3, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        g = solve(C, a, b, eps, **options).g
    p = problem(C, a, b, eps, "numpy")
    return travelling(Certified(p, certify(p.C, p.a, p.b, p.eps, g), g), f"seed {seed}")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """200 files: potentials to the last digit, to the default tolerance, and poor ones."""
    folder = tmp_path_factory.mktemp("certificates")
    files = []
    for seed in range(200):
        options = [{"tol": 1e-13}, {}, {"max_iter": 1}][seed % 3]
        files.append(folder / f"{seed}.json")
        certificate(seed, **options).save(files[-1])
    return files


@LANGUAGES
def test_200_honest_certificates_are_proven(language: str, honest: list[Path]) -> None:
    done = checked(language, *honest)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{file}: proven" for file in honest]


def test_they_obey_the_schema(honest: list[Path]) -> None:
    schema = JsonSchema(json.loads((FOLDER / "certificate.schema.json").read_text("utf-8")))
    for file in honest[:20]:
        assert schema.violations(json.loads(file.read_text("utf-8")), schema.root) == []


# ------------------------------------------------------------------ forged ones
def changed(*path: Any, to: Callable[[Any], Any]) -> Callable[[Document], str]:
    """A forgery: one entry of the document replaced by a function of it."""

    def forge(document: Document) -> str:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = to(at[path[-1]])
        return json.dumps(document)

    return forge


def missing(*path: str) -> Callable[[Document], str]:
    """A forgery: one entry left out."""

    def forge(document: Document) -> str:
        at: Any = document
        for key in path[:-1]:
            at = at[key]
        del at[path[-1]]
        return json.dumps(document)

    return forge


LOWER, UPPER = ("interval", "lower"), ("interval", "upper")
FORGERIES = {
    "a lower end above F": changed(*LOWER, to=lambda x: x + 1e-6),
    "an upper end below F": changed(*UPPER, to=lambda x: x - 1e-6),
    "ends exchanged": lambda d: json.dumps(d | {"interval": {
        "lower": d["interval"]["upper"], "upper": d["interval"]["lower"]}}),
    "an interval beside F": lambda d: json.dumps(d | {"interval": {
        "lower": d["interval"]["upper"] + 1.0, "upper": d["interval"]["upper"] + 2.0}}),
    "an interval of one point": lambda d: json.dumps(d | {"interval": {
        "lower": d["interval"]["lower"], "upper": d["interval"]["lower"]}}),
    "NaN": changed(*LOWER, to=lambda _: math.nan),
    "infinity": changed(*UPPER, to=lambda _: math.inf),
    "a number beyond floats": lambda d: json.dumps(d).replace('"upper": ', '"upper": 1e999,"x":'),
    "an end as text": changed(*UPPER, to=str),
    "an end that is true": changed(*UPPER, to=lambda _: True),
    "another cost": changed("problem", "C", -1, 0, to=lambda x: x + 1.0),
    "another eps": changed("problem", "eps", to=lambda x: 2 * x),
    "eps = 0": changed("problem", "eps", to=lambda _: 0),
    "eps below 0": changed("problem", "eps", to=lambda x: -x),
    "another weight": changed("problem", "b", 0, to=lambda x: 2 * x),
    "a weight below 0": changed("problem", "b", 0, to=lambda x: -x),
    "weights all 0": changed("problem", "b", to=lambda b: [0.0] * len(b)),
    "a potential that is not good enough": changed("potentials", "g", 0, to=lambda x: x + 0.5),
    "a potential too short": changed("potentials", "g", to=lambda g: g[:-1]),
    "a potential too long": changed("potentials", "g", to=lambda g: [*g, 0.0]),
    "a row too short": changed("problem", "C", 0, to=lambda row: row[:-1]),
    "a row too few": changed("problem", "C", to=lambda C: C[:-1]),
    "no costs": missing("problem", "C"),
    "a hash in place of the numbers": lambda d: json.dumps(d | {"problem": {
        "sha256": d["problem"]["sha256"], "eps": d["problem"]["eps"], "recipe": ""}}),
    "another convention": changed("convention", to=lambda _: "F = min <C,P> - eps H(P)"),
    "another version": changed("version", to=lambda _: 2),
    "another format": changed("format", to=lambda _: "certificate"),
    "no interval": missing("interval"),
    "cut off": lambda d: json.dumps(d)[:-20],
    "no JSON": lambda d: "lower <= F",
}


@LANGUAGES
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_certificate_is_refused(language: str, name: str, tmp_path: Path) -> None:
    document = certificate(6, tol=1e-13).document()
    right, forged = tmp_path / "right.json", tmp_path / "forged.json"
    right.write_text(json.dumps(document), "utf-8")
    forged.write_text(FORGERIES[name](document), "utf-8")
    done = checked(language, right, forged)
    assert done.stdout.splitlines() == [f"{right}: proven"]
    assert done.returncode == 1


@pytest.mark.parametrize("file", ["check.py", "check.mjs"])
def test_a_checker_is_read_in_one_go(file: str) -> None:
    text = (FOLDER / file).read_text("utf-8")
    assert len(text.splitlines()) <= 80
    assert "refot." not in text.replace("refot again, without refot", "")
