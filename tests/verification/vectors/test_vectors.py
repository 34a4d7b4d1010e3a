"""The certified vectors: as their schema says, written anew to the same bytes, true of refot."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from json_schema import JsonSchema

import refot
from refot.arrays import InputError
from refot.backend_contract import get_backend
from refot.information import optimal_q, q_objective
from refot.objectives import kl_from_product
from refot.verification.mistakes.catalogue import CATALOGUE, mistakes_of
from refot.verification.subjects.adapters.refot_itself import subject
from refot.verification.vectors import (
    answers as vectors,
)
from refot.verification.vectors import (
    generate as vectors_generate,
)
from refot.verification.vectors.answers import (
    AnswersError,
    check,
    every_case,
    list_vectors,
    load,
    show,
)
from refot.verification.vectors.catches import wrong_answers
from refot.verification.vectors.files import FILES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "vectors.md"
SCHEMA = json.loads((vectors.FOLDER / "schema.json").read_text(encoding="utf-8"))


@cache
def all_cases() -> dict[str, dict[str, Any]]:
    return every_case()


def arguments(case: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a case as NumPy arrays and scalars."""
    return {name: np.array(x, dtype=float) if isinstance(x, list) else x
            for name, x in case["inputs"].items()}


def listed(answer: Any) -> Any:
    """An answer of NumPy as JSON has it; None where it is not finite."""
    if isinstance(answer, tuple):
        return [listed(part) for part in answer]
    return np.asarray(answer, dtype=float).tolist()


def written(path: Path, answers: Any) -> Path:
    path.write_text(answers if isinstance(answers, str) else json.dumps(answers), encoding="utf-8")
    return path


# ------------------------------------------------------------------ the schema
violations = JsonSchema(SCHEMA).violations


@pytest.mark.parametrize("capability", FILES)
def test_a_file_is_as_the_schema_says(capability: str) -> None:
    file = json.loads((vectors.FOLDER / f"{capability}.json").read_text(encoding="utf-8"))
    assert violations(file, SCHEMA) == []
    assert file["capability"] == capability
    assert file["signature"] == FILES[capability].signature
    assert all(case["id"].startswith(f"{capability}/") for case in file["cases"])
    assert set(file["notes"]) == {name for case in file["cases"] for name in case["catches"]}
    assert all(file["notes"][name] == CATALOGUE[name].said for name in file["notes"])


@pytest.mark.parametrize(("change", "fault"), [
    (lambda case: case.pop("note"), "lacks"),
    (lambda case: case.update(more=1), "has ['more']"),
    (lambda case: case["kinds"].append("odd"), "is none of"),
    (lambda case: case["inputs"].update(eps=True), "fits no option"),
    (lambda case: case["catches"].append("sharp-for-full [8]"), "does not match"),
    (lambda case: case["outputs"]["value"].update(mid=1.0), "fits no option"),
    (lambda case: case["outputs"]["value"].update(mid="nan"), "fits no option"),
    (lambda case: case["outputs"]["value"].update(tolerance=0.0), "<= 0"),
])
def test_what_is_not_as_the_schema_says_is_found(change: Any, fault: str) -> None:
    (case, *_) = load("value")
    change(case)
    (found,) = violations(case, SCHEMA["$defs"]["case"])
    assert fault in found


# ------------------------------------------------------------------ what is there
def test_there_is_enough_of_everything() -> None:
    files = list(vectors.FOLDER.glob("*.json"))
    assert {file.stem for file in files} == {*FILES, "schema"}
    assert sum(file.stat().st_size for file in files) < 1_500_000
    assert len(all_cases()) == sum(map(len, map(load, FILES))) >= 150
    assert sum(name.startswith("unbalanced") for name in all_cases()) >= 60
    kinds = Counter(kind for case in all_cases().values() for kind in case["kinds"])
    known = SCHEMA["$defs"]["case"]["properties"]["kinds"]["items"]["enum"]
    assert {kind for kind in known if kinds[kind] >= 8} == set(known)
    count = len(FILES)
    assert f"{len(all_cases())} small problems in {count} files" in PAGE.read_text(encoding="utf-8")


def test_the_schema_knows_every_capability() -> None:
    assert SCHEMA["properties"]["capability"]["enum"] == list(FILES)


def test_every_capability_has_eps_from_small_to_large() -> None:
    for capability in ("plan", "potentials", "value", "transport_cost", "softmin", "divergence"):
        ratios = [case["inputs"]["eps"] / np.max(case["inputs"]["C"]) for case in load(capability)
                  if "C" in case["inputs"]]
        assert not ratios or (min(ratios) <= 1.001e-3 and max(ratios) >= 1)


NOT_CAUGHT = {
    # needs two clouds of as many points with other weights
    "divergence.weights-exchanged", "divergence.self-weights-exchanged",
    "divergence_gradient.self-weights-exchanged", "mmd.self-weights-exchanged",
    # needs a cost that is not symmetric in all three terms
    "divergence.wrong-axis-for-both",
    # needs a plan without zeros
    "mutual_information.kl-reversed",
    # has no answer: a side that is exact has no gradient of this form
    "unbalanced_mass_gradient.rows-exact",
}
"""The mistakes that no case catches, because there is no case on which they show."""


def test_every_mistake_is_caught_by_some_case_but_those_that_are_said() -> None:
    caught = {name for case in all_cases().values() for name in case["catches"]}
    assert caught == CATALOGUE.keys() - NOT_CAUGHT


def test_a_case_catches_mistakes_of_its_own_capability() -> None:
    for name, case in all_cases().items():
        known = {mistake.id for mistake in mistakes_of(name.partition("/")[0])}
        assert set(case["catches"]) <= known
        assert len(set(case["catches"])) == len(case["catches"])


@pytest.mark.parametrize("capability", FILES)
def test_inputs_are_exact_and_outputs_have_thirty_digits(capability: str) -> None:
    for case in load(capability):
        for name in {"a", "b", "P"} & set(case["inputs"]) if "rho" not in case["inputs"] else ():
            masses = vectors._leaves(case["inputs"][name])
            assert sum(map(Fraction, masses)) == 1
        for output in case["outputs"].values():
            mids = [Fraction(x) for x in vectors._leaves(output["mid"]) if x is not None]
            rads = [Fraction(x) for x in vectors._leaves(output["rad"]) if x is not None]
            largest = max(*map(abs, mids), Fraction(1, 10**30))
            assert max(rads) <= largest / 10**30


def test_the_last_point_carries_mass_so_that_the_gauge_is_due() -> None:
    assert all(case["outputs"]["g"]["mid"][-1] is not None for case in load("potentials"))


# ------------------------------------------------------------------ the generator
@pytest.mark.parametrize("capability", FILES)
def test_a_file_is_written_anew_to_the_same_bytes(capability: str) -> None:
    pytest.importorskip("sklearn", reason="the real data come with scikit-learn")
    path = vectors.FOLDER / f"{capability}.json"
    assert vectors_generate.text(capability).encode() == path.read_bytes()


# ------------------------------------------------------------------ refot's own answers
def right_functions() -> dict[str, Callable[..., Any]]:
    """refot's functions on NumPy, by the file that they answer."""
    return {**subject(get_backend("numpy")).parts[0].capabilities,
            "unbalanced_sides": partial(refot.unbalanced_value, backend="numpy")}


@pytest.mark.parametrize("capability", FILES)
def test_refot_is_within_a_tenth_of_the_tolerance(capability: str) -> None:
    """On every backend it is within its rounding bounds:
    tests/verification/certificates/test_rounding_bounds.py."""
    right = right_functions()[capability]
    for case in load(capability):
        for output in case["outputs"].values():
            output["tolerance"] /= 10
        assert vectors._faults(case, listed(right(*arguments(case).values()))) == []


def test_golden_steps_are_those_of_the_scaling_iteration() -> None:
    for case in load("scaling_loss"):
        *given, L = arguments(case).values()
        steps = zip(range(L), refot.scaling_iterates(*given), strict=False)
        u, v = zip(*(pair for _, pair in steps), strict=True)
        answer = {"u": np.array(u).tolist(), "v": np.array(v).tolist()}
        assert vectors._faults(case, answer) == []


def test_gradients_in_the_weights_are_centred_potentials() -> None:
    """Beside a value that of F, beside a gradient in points that of S."""
    for capability, gradient in (("value", refot.entropic_value_gradient_weights),
                                 ("divergence_gradient",
                                  refot.sinkhorn_divergence_gradient_weights)):
        for case in load(capability):
            found = gradient(*arguments(case).values(), tol=1e-9)
            assert vectors._faults(case, {"gradient_in_a": found.tolist()}) == []


def test_the_optimum_of_q_is_one_less_kl() -> None:
    """B-31 at Q = log(P / (a(x)b)); no optimum is due where P has mass that a(x)b lacks."""
    found = []
    for case in load("q_objective"):
        _, P, a, b = arguments(case).values()
        infinite = np.isinf(kl_from_product(P, a, b))
        assert infinite == ("optimum" not in case["outputs"])
        if not infinite:
            found.append(q_objective(optimal_q(P, a, b), P, a, b))
            assert vectors._faults(case, {"optimum": found[-1]}) == []
    assert len(found) >= 8


def test_the_plan_of_each_side_is_right() -> None:
    """Beside the value of `unbalanced_sides`: the plan and its mass, and under KL the potentials.
    """
    for case in load("unbalanced_sides"):
        C, a, b, eps, rho, penalty = arguments(case).values()
        solved = refot.solve(C, a, b, eps, rho=rho, penalty=penalty, backend="numpy")
        P = refot.unbalanced_plan(solved.f, solved.g, C, a, b, eps, backend="numpy")
        answer = {"plan": P.tolist(), "mass": float(P.sum())}
        if penalty == "kl":
            answer |= {"potential_of_a": solved.f.tolist(), "potential_of_b": solved.g.tolist()}
        assert vectors._faults(case, answer) == [], case["id"]


def test_an_infinite_rho_is_written_as_a_text_that_every_language_reads() -> None:
    found = [rho for case in load("unbalanced_sides") for rho in case["inputs"]["rho"]]
    assert found.count("Infinity") >= 8
    assert {type(rho) for rho in found} == {str, float}
    assert float("Infinity") == np.inf


# ------------------------------------------------------------------ list, show, check
def right_answers(*capabilities: str) -> dict[str, Any]:
    offered = right_functions()
    return {case["id"]: listed(offered[name](*arguments(case).values()))
            for name in capabilities for case in load(name)}


def test_every_case_is_listed_and_can_be_shown() -> None:
    names = [line.split()[0] for line in list_vectors()]
    assert names == list(all_cases())
    assert json.loads(show(names[-1])) == all_cases()[names[-1]]
    for wrong, near in (("value/none", "value/"), ("valu/gaussian", "value/gaussian"),
                        ("nope", "plan/gaussian"), ("", "plan/gaussian")):
        with pytest.raises(InputError, match=rf"`refot vectors list`, e\.g\. {near}"):
            show(wrong)


def test_right_answers_pass_and_what_lacks_is_said(tmp_path: Path) -> None:
    answers = right_answers(*FILES)
    lines, status = check(written(tmp_path / "all.json", answers))
    assert (len(lines), status) == (1, 0)
    assert lines[0].startswith(f"{len(all_cases())} passed, 0 failed, 0 not answered")
    one = {"value/gaussian": answers["value/gaussian"]}
    lines, status = check(written(tmp_path / "one.json", one))
    assert status == 0
    assert lines[0].startswith("not answered: value/euclidean, ")
    assert lines[1].startswith("not provided: plan, potentials, transport_cost")
    assert lines[2].startswith(f"1 passed, 0 failed, {len(load('value')) - 1} not answered")


def test_every_answer_that_is_off_is_refused(tmp_path: Path) -> None:
    answers = right_answers("value", "mmd", "mutual_information")
    off = {name: answer + 2 * next(iter(all_cases()[name]["outputs"].values()))["tolerance"]
           for name, answer in answers.items()}
    lines, status = check(written(tmp_path / "off.json", off))
    assert status == 1
    assert [line.split()[1].rstrip(":") for line in lines[: len(off)]] == list(off)
    assert all(line.startswith("FAILED ") for line in lines[: len(off)])


def of_sums(S: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Potentials (f, g) with g_m = 0 and these sums f_i + g_j."""
    return S[:, -1], S[0] - S[0, -1]


def test_mistakes_that_a_case_claims_to_catch_are_refused() -> None:
    for case in (load("value") + load("softmin") + load("potentials") + load("mmd")
                 + load("unbalanced_sides")):
        for name in case["catches"]:
            for answer in wrong_answers(CATALOGUE[name].answer, arguments(case)):
                if np.isfinite(answer).all():
                    given = of_sums(answer) if name.startswith("potentials") else answer
                    assert vectors._faults(case, listed(given)), name


def test_potentials_of_any_gauge_pass_and_zero_weights_are_free(tmp_path: Path) -> None:
    f, g = right_answers("potentials")["potentials/zero-weights"]
    f[all_cases()["potentials/zero-weights"]["inputs"]["a"].index(0)] = 1e5
    moved = [[x + 0.5 for x in f], [x - 0.5 for x in g]]
    for answer in (moved, dict(zip("fg", moved, strict=True))):
        answers = {"potentials/zero-weights": answer}
        assert check(written(tmp_path / "answers.json", answers))[1] == 0
    off = {"potentials/zero-weights": [moved[0], [x + 0.001 * k for k, x in enumerate(moved[1])]]}
    assert check(written(tmp_path / "answers.json", off))[1] == 1


@pytest.mark.parametrize(("name", "answer"), [
    ("plan/gaussian", 1.0), ("value/gaussian", [1.0]), ("softmin/wide", [[1.0], 2.0]),
    ("potentials/gaussian", [[1.0], []]), ("softmin/wide", [])])
def test_an_answer_of_another_shape_fails(tmp_path: Path, name: str, answer: Any) -> None:
    lines, status = check(written(tmp_path / "answers.json", {name: answer}))
    assert status == 1
    assert "shape" in lines[0]


@pytest.mark.parametrize(("text", "message"), [
    ("", "Expecting value"),
    ('{"value/gaussian": 1', "delimiter"),
    ("[1, 2]", "not an object"),
    ("{}", "at least one answer"),
    ('{"value/none": 1}', "unknown case ids: value/none"),
    ('{"value/gaussian": NaN}', "NaN is no number of JSON"),
    ('{"value/gaussian": -Infinity}', "-Infinity is no number"),
    ('{"value/gaussian": 1e999}', "beyond the range of floats"),
    ('{"value/gaussian": 1' + "0" * 400 + "}", "beyond the range of floats"),
    ('{"value/gaussian": 1' + "0" * 5000 + "}", "digits"),
    ('{"value/gaussian": "1.0"}', "str where a number is due"),
    ('{"value/gaussian": null}', "NoneType where a number is due"),
    ('{"value/gaussian": true}', "bool where a number is due"),
    ('{"value/gaussian": [{"a": 1}]}', "dict where a number is due"),
    ('{"value/gaussian": {"F": 1}}', "allowed: value, gradient_in_a"),
    ('{"value/gaussian": {}}', "none"),
    ('{"potentials/gaussian": [1, 2, 3]}', "a pair [f, g]"),
    ('{"potentials/gaussian": {"f": [1]}}', "both f and g"),
    ('{"value/gaussian": 1, "value/gaussian": 2}', "twice"),
    ('{"plan/gaussian": ' + "[" * 300 + "]" * 300 + "}", "nested too deeply"),
    ('{"plan/gaussian": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
])
def test_a_file_of_anything_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(AnswersError, match=re.escape(message)):
        check(written(tmp_path / "answers.json", text))


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    """Editors and shells of Windows write one."""
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(right_answers("mutual_information")), encoding="utf-8-sig")
    assert check(path)[1] == 0


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnswersError, match="cannot be read"):
        check(tmp_path / "none.json")
    with pytest.raises(AnswersError, match=f"^{re.escape(str(tmp_path))}: not a plain file$"):
        check(tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(AnswersError, match="decode"):
        check(tmp_path / "bytes.json")


# ------------------------------------------------------------------ the reader in JavaScript
@pytest.mark.parametrize(("old", "new", "status", "printed"), [
    ("", "", 0, "20 of 20 right\n"), ("(top +", "(", 1, "0 of 20 right\n")])
def test_the_reader_in_javascript(
    tmp_path: Path, old: str, new: str, status: int, printed: str
) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    (script,) = re.findall(r"^```javascript\n(.*?)^```$", PAGE.read_text(encoding="utf-8"),
                           re.MULTILINE | re.DOTALL)
    assert old in script
    reader = written(tmp_path / "reader.mjs", script.replace(old, new) if old else script)
    done = subprocess.run([node, str(reader), str(vectors.FOLDER)], text=True, capture_output=True,
                          check=False, timeout=60)
    assert (done.returncode, done.stdout) == (status, printed), done.stderr
