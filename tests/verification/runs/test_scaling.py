"""Time and memory against n: the exponent, the measure of memory, and where they are shown."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from refot.verification.cases.case import synthetic
from refot.verification.reports.html.page import html
from refot.verification.reports.html.pictures import growth_picture
from refot.verification.reports.html.source import Source
from refot.verification.reports.rerun import Rerun
from refot.verification.reports.short import print_short
from refot.verification.reports.terminal import write_json
from refot.verification.runs import program as command_subject
from refot.verification.runs import scaling
from refot.verification.runs.program import Program, Remote
from refot.verification.runs.run import Report
from refot.verification.runs.scaling import PeakMemory, Scaling, exponent, measured
from refot.verification.subjects.limits import Limits
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.protocol import request_line
from refot.verification.subjects.subject import Part, Subject

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak")


CASE = next(synthetic())

def subject(**capabilities: Any) -> Subject:
    return Subject("mine", "", (Part("mine", capabilities),))


# ------------------------------------------------------------------ what is measured
@pytest.mark.parametrize("k", [0.0, 1.0, 2.5])
def test_the_exponent_is_that_of_the_last_three_sizes(k: float) -> None:
    points = [(64, 1e6)] + [(n, 3e-7 * n**k) for n in (128, 256, 512)]
    assert exponent(points) == pytest.approx(k, abs=1e-12)
    assert exponent(points[:2]) is None


@LINUX
@pytest.mark.parametrize("mebibytes", [48, 96])
def test_the_peak_is_what_is_held_at_once(mebibytes: int) -> None:
    memory = PeakMemory()
    for _ in range(3):
        np.ones(mebibytes << 17).sum()  # freed again
    peak = memory.bytes()
    assert peak is not None
    assert peak / 2**20 == pytest.approx(mebibytes, abs=2)  # the kernel counts by lumps of pages


@dataclass
class Clock:
    """What subjects are timed by here: it goes on only when they say how much they have worked."""

    monkeypatch: pytest.MonkeyPatch
    now: float = 0.0

    def perf_counter(self) -> float:
        return self.now

    monotonic = perf_counter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock of work in the place of that of the machine, which other processes share."""
    clock = Clock(monkeypatch)
    monkeypatch.setattr("refot.verification.subjects.probe.time", clock)
    return clock


@LINUX
def test_a_quadratic_subject_is_found_quadratic(clock: Clock) -> None:
    def value(C: Any, a: Any, b: Any, eps: float) -> float:
        clock.now += 1e-6 * C.size
        return float(np.ones((1280, C.size)).sum())  # 10 n^2 kB, more than a heap keeps for later

    clock.monkeypatch.setattr(scaling, "SIZES", (64, 90, 128))
    (found,) = measured(subject(value=value))
    assert (found.part, found.capability, found.sizes) == ("mine", "value", (64, 90, 128))
    assert found.time_exponent == pytest.approx(2, abs=1e-9)  # the clock counts rounding alone
    assert found.memory_exponent == pytest.approx(2, abs=0.3)
    assert found.bytes[-1] == pytest.approx(10_240 * 128**2, rel=0.2)
    (blind,) = measured(subject(value=value), memory=False)
    assert blind.bytes == (None,) * 3
    assert blind.memory_exponent is None


@LINUX
def test_what_refot_prepares_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SIZES", (1024,))
    (found,) = measured(subject(value=lambda *_: 0.0))  # its arguments alone are 8 MiB
    assert found.bytes[0] is not None
    assert found.bytes[0] < 1 << 20


def test_each_call_has_its_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def writes(C: Any, a: Any, b: Any, eps: float) -> float:
        asked.append(float(C.max()))
        C += 1
        return 0.0

    monkeypatch.setattr(scaling, "SIZES", (64,))
    assert measured(subject(value=writes))
    assert len(asked) == 8
    assert len(set(asked)) == 1


def test_a_program_is_not_timed_while_refot_writes_its_request(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def slowly(*arguments: Any) -> bytes:
        clock.now += 100
        return request_line(*arguments)

    def answers(line: bytes, seconds: float) -> bytes:
        clock.now += 1
        return json.dumps({"id": json.loads(line)["id"], "result": 0.0}).encode() + b"\n"

    program = Program("constant", Limits())
    monkeypatch.setattr(program, "_answer", answers)
    monkeypatch.setattr(command_subject, "request_line", slowly)
    monkeypatch.setattr(command_subject, "time", clock)
    part = Part("constant", {"value": Remote(program, "value")})
    assert Probe(part).seconds("value", *CASE.matrix) == 1


def test_it_ends_where_a_call_raises_or_takes_long(clock: Clock) -> None:
    def refuses(C: Any, a: Any, b: Any, eps: float) -> float:
        if len(a) > 64:
            raise ValueError("too large")
        return 1.0

    def slow(C: Any, a: Any, b: Any, eps: float) -> float:
        clock.now += 1.1 * scaling.LONGEST_CALL if len(a) > 64 else 0.0
        return 1.0

    assert [found.sizes for found in measured(subject(value=refuses))] == [(64,)]
    assert [found.sizes for found in measured(subject(value=slow))] == [(64, 128)]
    assert measured(subject(plan=lambda *_: 1 / 0)) == ()
    assert measured(subject(mmd=lambda *_: 1.0)) == ()  # no solve


def test_a_convention_is_kept() -> None:
    asked: list[float] = []

    def value(C: Any, a: Any, b: Any, gamma: float) -> float:
        asked.append(gamma * float(C.max()))
        raise ValueError

    part = Part("mine", {"value": value}, "mdot_tnt.solve_OT")
    measured(Subject("mine", "", (part,)))
    assert asked[0] == pytest.approx(10)  # 1 / eps, eps a tenth of the largest cost


# ------------------------------------------------------------------ where it is shown
FOUND = (Scaling("a <b>", "value", (64, 128, 256), (0.001, 0.004, 0.016), (None, 1 << 21, 1 << 23)),
         Scaling("other", "value", (64,), (2.0,), (0,)))


def report() -> Report:
    parts = (Part("a <b>", {"value": len}), Part("other", {"value": len}))
    return replace(Report(Subject("mine", "1", parts), "quick", "numpy", ()), scaling=FOUND)


def test_rows_are_words() -> None:
    assert list(scaling.rows(FOUND)) == [
        ("a <b>", "value", "256", "16 ms", "n^2.0", "8 MiB", "-"),
        ("other", "value", "64", "2 s", "-", "< 1 MiB", "-")]


def test_it_is_in_the_terminal_the_json_and_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_short(report(), Console(width=160))
    assert "n^2.0" in capsys.readouterr().out
    write_json(report(), tmp_path / "report.json")
    first, second = json.loads((tmp_path / "report.json").read_text())["scaling"]
    assert first["bytes"] == [None, 1 << 21, 1 << 23]
    assert first["time_exponent"] == pytest.approx(2)
    assert second["memory_exponent"] is None
    page = html(Source(report(), {}, Rerun(("x.py:f",))))
    assert page.count('class="growth"') == 3  # seconds of both, MiB of one
    assert page.count("<figcaption>other</figcaption>") == 1
    assert "n^2.0" in page
    assert "a <b>" not in page  # a name is text


def test_a_curve_goes_up_where_the_numbers_do() -> None:
    picture = growth_picture({"mine": [(64.0, 0.1), (128.0, 0.4), (256.0, 1.6)],
                              "theirs": [(64.0, 10.0)]}, "mine", "n", "seconds")
    assert [element.get("class") for element in picture if element.tag == "polyline"] == [
        "other", "curve"]  # its own on top
    (line,) = [element for element in picture if element.get("class") == "curve"]
    places = [tuple(map(float, place.split(","))) for place in line.get("points", "").split()]
    (x0, y0), (x1, y1), (x2, y2) = places
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(y1 - y2, abs=0.2)  # SVG counts downwards
    assert y1 < y0
