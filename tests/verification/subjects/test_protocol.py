"""The protocol of `refot verify --command`: its schema, requests, answers that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from json_schema import JsonSchema

from refot.verification.cases.case import collect
from refot.verification.runs.program import questions
from refot.verification.subjects import protocol
from refot.verification.subjects.capabilities import Role, names_of
from refot.verification.subjects.protocol import AnswerError, ProgramSaysError, request_line

SCHEMA = json.loads((Path(protocol.__file__).parent / "protocol_schema.json").read_text())


def faults(value: Any, part: str) -> list[str]:
    return JsonSchema(SCHEMA).violations(value, SCHEMA["$defs"][part])


def test_the_schema_knows_every_capability() -> None:
    known = SCHEMA["$defs"]["request"]["properties"]["capability"]["enum"]
    assert known == [protocol.DISCOVERY, *protocol.askable()]


def test_every_question_of_the_checks_is_as_the_schema_says() -> None:
    offered = protocol.askable()
    asked = questions(offered, [c for c in collect("quick")[0] if c.C.size <= 144])
    every = [*asked.sound, *asked.to_be_refused]
    lines = [request_line(k, *question) for k, question in enumerate(every)]
    assert {capability for capability, _ in asked.sound} == set(offered)
    assert {capability for capability, _ in asked.to_be_refused} == set(names_of(Role.ANSWER))
    assert [faults(json.loads(line), "request") for line in lines
            if faults(json.loads(line), "request")] == []
    assert all(b" " not in line and line.count(b"\n") == 1 for line in lines)
    assert {json.loads(line)["dtype"] for line in lines} == {"float64", "float32"}


def test_a_request_holds_its_numbers_to_the_last_bit() -> None:
    h = np.array([0.1, 1e-300, -0.0, 1 / 3, np.nan, np.inf, -np.inf])
    sent = json.loads(request_line(3, "softmin", (np.ones((2, 7), np.float32), h, 0.3)))
    assert list(sent) == ["id", "capability", "dtype", "arguments"]
    assert list(sent["arguments"]) == ["C", "h", "eps"]
    assert sent["arguments"]["h"][4:] == ["nan", "inf", "-inf"]
    assert np.array(sent["arguments"]["h"], dtype=float).tobytes() == h.tobytes()
    assert (sent["dtype"], sent["id"], sent["arguments"]["eps"]) == ("float32", 3, 0.3)


@pytest.mark.parametrize(("answer", "expected"), [
    ({"result": 1}, 1.0), ({"result": "-inf"}, -np.inf), ({"result": [1, "nan"]}, [1.0, np.nan]),
    ({"result": [[0.1], [2]]}, [[0.1], [2.0]]), ({"result": []}, []),
])
def test_right_answers(answer: dict[str, Any], expected: Any) -> None:
    line = json.dumps({"id": 7} | answer).encode()
    found = protocol.numbers(protocol.read_answer(line, 7), "value")
    assert faults(json.loads(line), "answer") == []
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("line", "complaint"), [
    (b"", "no JSON"), (b"hello", "no JSON .*hello"), (b"[1]", "a list where an object"),
    (b'{"id": 7}', "nothing else"), (b'{"id": 7, "result": 1, "error": "x"}', "error, result"),
    (b'{"id": 7, "result": 1, "more": 2}', "more, result"), (b'{"result": 1}', "request None"),
    (b'{"id": 8, "result": 1}', "answers request 8.0 where 7"), (b'{"id": true}', "request True"),
    (b'{"id": 7, "result": NaN}', 'write "nan"'), (b'{"id": 7, "result": -Infinity}', "write"),
    (b'{"id": 7, "result": null}', "a null where a number"),
    (b'{"id": 7, "result": true}', "a boolean where a number"),
    (b'{"id": 7, "result": {"plan": 1}}', "an? object where a number"),
    (b'{"id": 7, "result": "0.5"}', "a string where a number"),
    (b'{"id": 7, "result": [1, [2]]}', "different lengths"),
    (b'{"id": 7, "result": [[1], [2, 3]]}', "different lengths"),
    (b'{"id": 7, "result": [[[1]]]}', "more than 2 deep"),
    (b'{"id": 7, "result": 1e999}', "beyond the range"),
    (b'{"id": 7, "result": ' + b"9" * 5000 + b"}", "beyond the range"),
    (b'{"id": 7, "id": 7, "result": 1}', "a name twice"),
    (b'{"id": 7, "result": "\xff"}', "no UTF-8"), (b"\x00" * 9, "no JSON"),
    (b'{"id": 7, "result": ' + b"[" * 99_999, "nested too deeply"),
])
def test_answers_that_are_none(line: bytes, complaint: str) -> None:
    with pytest.raises(AnswerError, match=complaint):
        protocol.numbers(protocol.read_answer(line, 7), "value")


def test_an_error_and_what_is_not_provided_keep_their_words() -> None:
    with pytest.raises(ProgramSaysError, match="singular"):
        protocol.read_answer(b'{"id": 7, "error": "singular"}', 7)
    with pytest.raises(NotImplementedError, match="only l1"):
        protocol.read_answer(b'{"id": 7, "not_provided": "only l1"}', 7)


def test_a_failure_to_converge_is_said_beside_a_result_or_alone() -> None:
    with pytest.warns(UserWarning, match="^not converged: 1000 steps$"):
        assert protocol.read_answer(b'{"id":7,"result":1.5,"not_converged":"1000 steps"}', 7) == 1.5
    with pytest.raises(protocol.NotConvergedError, match="1000 steps"):
        protocol.read_answer(b'{"id": 7, "not_converged": "1000 steps"}', 7)
    with pytest.raises(AnswerError, match='one of "result"'):
        protocol.read_answer(b'{"id": 7, "not_converged": "1000 steps", "error": "no"}', 7)


def test_potentials_are_a_pair() -> None:
    f, g = protocol.numbers([[1.0, 2.0], [3.0, 4.0]], "potentials")
    assert (f.tolist(), g.tolist()) == ([1, 2], [3, 4])
    for wrong in (1.0, [[1.0]], [[1.0], [2.0], [3.0]]):
        with pytest.raises(AnswerError, match="where a pair"):
            protocol.numbers(wrong, "potentials")
