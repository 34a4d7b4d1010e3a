"""The plan of the house: which room may know which, and how full a room may be.

A room is a folder, or a module that lies directly in `refot/`. Data flows one way, so imports do.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from refot.backend_contract import BUILT_IN

ROOT = Path(__file__).resolve().parents[2]

LAYERS = {
    "refot": [
        {"foreign"},
        {"arrays"},
        {"costs", "measures", "files", "terminal"},
        {"backend_contract", "penalties"},
        {"problem", "spanning_tree"},
        {"unbalanced_problem"},
        {"solvers"},
        {"transforms", "objectives", "plans", "certificate"},
        {"divergences", "information"},
        {"gradients", "printed"},
        {"unrolled", "implicit", "semidiscrete", "informative_plans", "entropic", "limits",
         "batches"},
        {"unbalanced"},
        {"autodiff", "conventions", "datasets", "networks", "plots", "scores", "sklearn"},
        {"jax", "systems", "torch"},
        {"cli"},
        {"__main__"},
    ],
    "verification": [
        {"cases", "parity"},
        {"certificates"},
        {"enclosures", "subjects"},
        {"truth"},
        {"mistakes"},
        {"vectors"},
        {"trajectories"},
        {"checks"},
        {"diagnosis"},
        {"runs"},
        {"reports"},
        {"pytest_refot", "verify", "bench", "zoo"},
        {"tools"},
    ],
}
"""The rooms of each house, from the ground up. A file imports from its own room and from rooms in
the lines before its own; two rooms of one line do not know each other."""

FOR_BACKENDS = {"foreign", "arrays", "costs", "backend_contract"}
"""What a backend knows of `refot`."""

MOST_FILES = {"refot": 25, "backends": 3, "verification": 3}
"""How many Python files may lie directly in a house. In any other folder: MOST_IN_A_ROOM."""
MOST_IN_A_ROOM = 20

LINKS = {ROOT / "refot" / "backends", ROOT / "refot" / "verification"}


def files(house: str) -> list[Path]:
    """The Python files of a house; `refot` links to the two others, which are walked as such."""
    return [path for path in sorted((ROOT / house).rglob("*.py"))
            if not LINKS & set(path.parents)]


def room(path: Path) -> str:
    """The folder of a file below its house, or the module itself where it lies directly in it."""
    return path.relative_to(ROOT).with_suffix("").parts[1]


def imports(path: Path) -> set[str]:
    """The absolute names that a file imports anywhere in it, statements in functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and path.parent.name in LAYERS:
            found |= {f"refot.{path.parent.name}.{node.module}"}  # `from .room.file import ...`
    return found


def rooms_known(path: Path, house: str) -> set[str]:
    """The other rooms of a house that a file imports from."""
    start = ["refot"] if house == "refot" else ["refot", house]
    names = [name.split(".") for name in imports(path)]
    known = {parts[len(start)] for parts in names
             if parts[:len(start)] == start and len(parts) > len(start)}
    return known - {room(path)} if house in path.relative_to(ROOT).parts else known


EVERY_FILE = [path for house in ("refot", "backends", "verification") for path in files(house)]
LAYERED = [(house, path) for house in LAYERS for path in files(house) if path.stem != "__init__"
           or path.parent != ROOT / house]


def name_of(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def test_the_walk_sees_the_house() -> None:
    assert rooms_known(ROOT / "refot" / "problem.py", "refot") == {
        "arrays", "backend_contract", "costs"}
    assert "runs" in rooms_known(ROOT / "verification" / "verify.py", "verification")
    for house, layers in LAYERS.items():
        assert {room(path) for path in files(house)} - {"__init__"} == set().union(*layers)


@pytest.mark.parametrize(("house", "path"), LAYERED, ids=name_of)
def test_imports_run_one_way(house: str, path: Path) -> None:
    rank = {name: k for k, layer in enumerate(LAYERS[house]) for name in layer}
    for other in rooms_known(path, house) - {"backends", "verification"}:
        assert other in rank, f"{name_of(path)} imports from {other}, which is no room"
        assert rank[other] < rank[room(path)], f"{name_of(path)} imports from {other}, above it"


@pytest.mark.parametrize("path", files("refot"), ids=name_of)
def test_refot_never_imports_its_backends_or_its_verifier(path: Path) -> None:
    """The contract loads a backend by name, when it is first used; the command line loads the
    verifier in the same way."""
    assert not rooms_known(path, "refot") & {"backends", "verification"}


def texts(path: Path) -> set[str]:
    """The strings in the code of a file, without its docstrings and without keys of dictionaries
    (in a table of versions, "numpy" is the library)."""
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    not_asked = {id(node.value) for node in tree if isinstance(node, ast.Expr)}
    not_asked |= {id(key) for node in tree if isinstance(node, ast.Dict) for key in node.keys}
    return {node.value for node in tree if isinstance(node, ast.Constant)
            and isinstance(node.value, str) and id(node) not in not_asked}


@pytest.mark.parametrize("path", files("refot"), ids=name_of)
def test_no_equation_and_no_solver_knows_a_backend_by_name(path: Path) -> None:
    """What a backend does in its own way it says itself, by what the contract offers for that. In
    longer texts numpy is the library; "auto" is a method too."""
    named = {text for text in texts(path) for word in re.findall(r"[\w-]+", text)
             if word in BUILT_IN and (word == text or word != "numpy") and word != "auto"}
    assert not named or room(path) == "backend_contract", f"{name_of(path)} names {sorted(named)}"


@pytest.mark.parametrize("path", files("backends"), ids=name_of)
def test_a_backend_knows_arrays_costs_and_the_contract_only(path: Path) -> None:
    assert rooms_known(path, "refot") - {"backends"} <= FOR_BACKENDS


def test_no_two_files_import_each_other() -> None:
    graph = {}
    for path in EVERY_FILE:
        parts = path.relative_to(ROOT).with_suffix("").parts
        start = parts if parts[0] == "refot" else ("refot", *parts)
        graph[".".join(start)] = {
            name for found in imports(path) for name in (found, found.rpartition(".")[0])}
    for name, known in graph.items():
        graph[name] = known & graph.keys() - {name}
    TopologicalSorter(graph).prepare()  # CycleError names the circle


@pytest.mark.parametrize("path", EVERY_FILE, ids=name_of)
def test_no_file_climbs_with_dots_or_uses_the_bare_folder_names(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert all(node.level <= 1 for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    assert not {name.split(".")[0] for name in imports(path)} & {"backends", "verification"}


def test_no_folder_is_crowded() -> None:
    tests = list((ROOT / "tests").rglob("*.py"))
    count = Counter(path.parent.relative_to(ROOT).as_posix() for path in [*EVERY_FILE, *tests])
    crowded = {folder: number for folder, number in count.items()
               if number > MOST_FILES.get(folder, MOST_IN_A_ROOM)}
    assert not crowded
