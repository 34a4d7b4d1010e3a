"""The mutator itself: what it changes, what it leaves alone, and that a verdict is a verdict."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from refot.verification.tools.mutation import run as mutation_run
from refot.verification.tools.mutation.mutants import mutants
from refot.verification.tools.mutation.run import Sandbox, judged, sample


def changes(body: str, arguments: str = "a, b, f, g, C, eps, xp") -> set[tuple[str, str, str]]:
    """(kind, before, after) of every mutant of a function of one line."""
    source = f"def equation({arguments}):\n    return {body}\n"
    return {(each.kind, each.before, each.after) for each in mutants(source)}


@pytest.mark.parametrize(("body", "change"), [
    ("f + C", ("operator", "f + C", "f - C")),
    ("f - C", ("operator", "f - C", "f + C")),
    ("C * eps", ("operator", "C * eps", "C / eps")),
    ("C / eps", ("operator", "C / eps", "C * eps")),
    ("C ** 2", ("operator", "C ** 2", "C * 2")),
    ("-C", ("sign", "-C", "C")),
    ("C / 2", ("constant", "2", "3")),
    ("0.5 * C", ("constant", "0.5", "1.0")),
    ("a @ C", ("partner", "a", "b")),
    ("p.F(f)", ("partner", "p.F", "p.G")),
    ("C.T", ("transpose", "C.T", "C")),
    ("C.sum(axis=1)", ("axis", "C.sum(axis=1)", "C.sum(axis=0)")),
    ("C.sum(axis=1)", ("reduction", "C.sum(axis=1)", "C.mean(axis=1)")),
    ("xp.maximum(C, 1)", ("reduction", "xp.maximum(C, 1)", "xp.minimum(C, 1)")),
    ("C if eps > 1 else f", ("comparison", "eps > 1", "eps <= 1")),
    ("xp.where(a > 0, C, f)", ("boundary", "a > 0", "a >= 0")),
])
def test_an_equation_is_changed(body: str, change: tuple[str, str, str]) -> None:
    assert change in changes(body)


@pytest.mark.parametrize("body", [
    "f'{C + 1}'", "namespace(C * 2)", "xp.zeros(eps, dtype=two(C + C))",
    "1e-9", "10_000", "True", "xp.sin(C)",
])
def test_what_is_no_equation_stays(body: str) -> None:
    assert changes(body, "C, eps, xp") == set()


def test_messages_defaults_annotations_and_docstrings_stay() -> None:
    source = textwrap.dedent('''
        """1 + 1"""
        def equation(a: 1 + 1, tol: float = 0.5) -> "2 * 2":
            """a + b"""
            x: 3 + 3 = a
            if x is None:
                raise ValueError(1 + 1)
            warnings.warn("x", stacklevel=2)
            return x
    ''')
    assert list(mutants(source)) == []


def test_a_partner_that_the_function_does_not_know_is_no_mutant() -> None:
    assert not changes("a @ C", "a, C")
    assert ("partner", "a", "b") in changes("a @ C", "a, b, C")


def test_every_mutant_is_the_source_with_that_change_only() -> None:
    source = "def e(a, b, ε):\n    é = 'é' and -(a + b) / ε\n    return é\n"
    for each in mutants(source):
        compile(each.source, "mutant", "exec")
        assert each.source != source
        assert each.line == 2
        assert each.source.splitlines()[::2] == source.splitlines()[::2]
    assert {each.source.splitlines()[1].strip() for each in mutants(source)} == {
        "é = 'é' and (-(a + b) * ε)", "é = 'é' and (a + b) / ε", "é = 'é' and -((a - b)) / ε",
        "é = 'é' and -(b + b) / ε", "é = 'é' and -(a + a) / ε"}


def test_a_sample_is_drawn_by_its_seed() -> None:
    source = (mutation_run.ROOT / "refot" / "transforms.py").read_text(encoding="utf-8")
    first, total = sample(source, 5, "0")
    assert first == sample(source, 5, "0")[0]
    assert first != sample(source, 5, "1")[0]
    assert len(first) == 5 < total
    assert len(sample(source, 10_000, "0")[0]) == total


# ------------------------------------------------------------------ the run
@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A package of one equation with one test, which knows half of it."""
    (tmp_path / "refot").mkdir()
    (tmp_path / "refot" / "__init__.py").touch()
    (tmp_path / "refot" / "value.py").write_text(
        "from time import sleep\n\ndef value(a, C):\n    n = 1\n    while n < 2:\n"
        "        n = n + 1\n        sleep(0.01)\n    return a * C + (0 * 5)\n")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_value.py").write_text(
        "from refot.value import value\n\ndef test_value():\n    assert value(2, 3) == 6\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    monkeypatch.setitem(mutation_run.TESTS, "value", ("test_value",))
    return Sandbox(tmp_path, start="spawn")  # what else this worker has loaded stays out of it


def test_a_mutant_is_killed_or_survives(box: Sandbox) -> None:
    path = box.folder / "refot" / "value.py"
    right = path.read_text()
    drawn = [each for each in mutants(right) if each.before in ("a * C", "5")]
    found = {each.before: each.outcome for each in judged(box, "value", drawn)}
    assert found == {"a * C": "killed", "5": "survived"}
    assert path.read_text() == right


def test_a_mutant_that_never_ends_is_ended(box: Sandbox) -> None:
    (endless,) = [each for each in mutants((box.folder / "refot" / "value.py").read_text())
                  if each.before == "n + 1"]
    outcome, seconds = box.judge("value", endless.source, 2.0)
    assert outcome == "timeout"
    assert seconds >= 2


def test_right_code_that_fails_its_tests_is_no_measure(box: Sandbox) -> None:
    (box.folder / "tests" / "test_value.py").write_text("def test_value():\n    assert False\n")
    with pytest.raises(RuntimeError, match="the tests fail on the right code"):
        list(judged(box, "value", []))


def test_a_harness_that_breaks_is_no_kill(box: Sandbox) -> None:
    (box.folder / "tests" / "test_value.py").write_text("")
    with pytest.raises(RuntimeError, match="ended with 5"):
        box.judge("value", "", 60.0)


def test_every_file_has_tests_that_exist() -> None:
    for file, tests in mutation_run.TESTS.items():
        assert (mutation_run.ROOT / "refot" / f"{file}.py").is_file()
        assert all((mutation_run.ROOT / "tests" / f"{name}.py").is_file() for name in tests)
