"""The parts of a page that show results: failures one by one, errors against eps and n, others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby
from xml.etree.ElementTree import Element

from refot.verification.cases.case import Case
from refot.verification.checks import CHECKS
from refot.verification.reports.terminal import interval_text
from refot.verification.runs.levels import LEVELS
from refot.verification.runs.run import CheckResult

from .elements import Child, table, tag
from .pictures import Point, error_picture, interval_picture
from .source import Source

OPEN = 40
"""With several parts and more failures than this, the failures of each part are folded at first."""

SAID = 20
"""The most lines shown of what a part printed, and of its warnings."""


# ------------------------------------------------------------------ what refot could not judge
def own_errors(source: Source) -> Iterator[Element]:
    """The checks in which refot's own code raised, with the traceback for an issue."""
    own = [result for result in source.report.checks if result.status == "refot_error"]
    if own:
        yield tag("h2", "Errors of refot")
    for result in own:
        yield tag("p", tag("b", f"{result.id} on {result.case}"), f": not judged: {result.message}")
        yield tag("pre", result.traceback)


# ------------------------------------------------------------------ failures, one by one
def failures(source: Source) -> Iterator[Element]:
    wrong = source.wrong()
    if not wrong:
        return
    yield tag("h2", "Failures", id="failures")
    yield tag("p", "In each picture the narrow bar is the certified interval, the wide one what "
              "may be missed, the line what was measured.", class_="key")
    for k, part in enumerate(source.report.subject.parts):
        own = source.wrong(part.name)
        if own:
            fold = {} if source.several_parts and len(wrong) > OPEN else {"open": ""}
            yield tag("details", tag("summary", part.name, " ", tag("b", str(len(own)))),
                      *_said("warned", source.report.warnings.get(part.name, ())),
                      *_said("printed", source.report.printed.get(part.name, ())),
                      *_by_check(source, own), id=f"part-{k}", class_="part", **fold)


def _said(how: str, lines: tuple[str, ...]) -> Iterator[Element]:
    """The first lines that a part printed, or its first warnings."""
    if lines:
        more = [f"... and {len(lines) - SAID} other lines"] if len(lines) > SAID else []
        yield tag("p", f"It {how}:")
        yield tag("pre", "\n".join([*lines[:SAID], *more]))


def _by_check(source: Source, results: list[CheckResult]) -> Iterator[Element]:
    """The failures check by check, the checks with the worst level first."""
    order = list(CHECKS)
    level = {result.id: LEVELS.index(result.level)
             for result in sorted(results, key=lambda each: -LEVELS.index(each.level))}
    results = sorted(results, key=lambda each: (
        level[each.id], order.index(each.id), LEVELS.index(each.level)))
    for id, group in groupby(results, lambda result: result.id):
        yield tag("h3", id)
        yield tag("p", CHECKS[id].sentence, class_="sentence")
        yield from (_failure(source, result) for result in group)


def _failure(source: Source, result: CheckResult) -> Element:
    case = source.cases[result.case]
    n, m = case.C.shape
    about = tag("div", tag("b", result.case), f" {result.level.value}", tag("p", case.note),
                tag("p", f"n = {n}, m = {m}, eps = {case.eps:.3g}, "
                    f"max C - min C = {case.spread:.3g}"), class_="about")
    why = [tag("p", text, class_=kind)
           for text, kind in ((result.diagnosis, "diagnosis"), (result.message, "message")) if text]
    part = ("--part", result.part) if source.several_parts else ()
    again = tag("details", tag("summary", "run it again"),
                tag("code", source.rerun.one(result, part)))
    return tag("article", about, *_numbers(result), tag("div", *why, again, class_="why"),
               class_=f"case {result.status}")


def _numbers(result: CheckResult) -> Iterator[Element]:
    """The picture of a result and its numbers, or "no answer"."""
    if result.measured is None or result.error is None or result.tolerance is None:
        yield tag("p", "no answer", class_="none")
        return
    certified = "-" if result.expected is None else interval_text(*result.expected)
    pairs = (("measured", f"{result.measured:.8g}"), ("certified", certified),
             ("off by", f"{result.error:.2g}"), ("allowed", f"{result.tolerance:.2g}"))
    yield interval_picture(result.measured, result.expected, result.tolerance,
                           f"measured {result.measured:.8g}, certified {certified}")
    yield tag("dl", *(tag("div", tag("dt", name), tag("dd", text)) for name, text in pairs))


# ------------------------------------------------------------------ errors against eps and n
def errors(source: Source) -> Iterator[Element]:
    """For each capability the errors of all its checks against eps and against n."""
    judged = [result for result in source.report.checks
              if result.error is not None and result.status != "not_converged"]
    if not judged:
        return
    yield tag("h2", "Errors against eps and n")
    yield tag("p", "In units of what is allowed: a dot passed, a cross failed. Errors beyond the "
              "edges, 0 and NaN among them, are drawn on them.", class_="key")
    figures = []
    for capability in dict.fromkeys(result.capability for result in judged):
        own = [result for result in judged if result.capability == capability]
        figures.append(tag(
            "figure", tag("figcaption", capability),
            error_picture(list(_points(source, own, _relative_eps)), "eps / (max C - min C)"),
            error_picture(list(_points(source, own, _size)), "max(n, m)")))
    yield tag("div", *figures, class_="figures")


def _points(
    source: Source, results: list[CheckResult], x: Callable[[Case], float]
) -> Iterator[Point]:
    for result in results:
        assert result.error is not None
        assert result.tolerance is not None
        yield Point(x(source.cases[result.case]), _share(result), result.status == "passed",
                    f"{result.id} on {result.case}")


def _share(result: CheckResult) -> float:
    """error / tolerance; if the tolerance is 0, 0 for an error of 0 and else infinite."""
    assert result.error is not None
    assert result.tolerance is not None
    if result.tolerance == 0:
        return 0.0 if result.error == 0 else math.inf
    return result.error / result.tolerance


def _relative_eps(case: Case) -> float:
    return case.eps / (case.unit or case.eps)


def _size(case: Case) -> float:
    return float(max(case.C.shape))


# ------------------------------------------------------------------ what passed, and the rest
def passed(source: Source) -> Iterator[Element]:
    """Each check that a part passed: the number of cases, and the case nearest to failing."""
    passed = [result for result in source.report.checks if result.status == "passed"]
    if not passed:
        return
    yield tag("h2", "Passed")
    for part in source.report.subject.parts:
        own = [result for result in passed if result.part == part.name]
        rows = []
        for id in dict.fromkeys(result.id for result in own):
            same = [result for result in own if result.id == id]
            rows.append(_nearest(id, same))
        if own:
            yield tag("details", tag("summary", part.name, " ", tag("b", str(len(own)))),
                      table(("check", "cases", "nearest to failing", "", "error / allowed"), rows),
                      class_="part")


def _nearest(id: str, results: list[CheckResult]) -> list[Child]:
    """A row for one check: its sentence, and the result with the largest share of its tolerance."""
    worst = max(results, key=_share)
    assert worst.measured is not None
    assert worst.tolerance is not None
    picture = interval_picture(worst.measured, worst.expected, worst.tolerance,
                               f"measured {worst.measured:.8g}")
    return [tag("div", tag("b", id), tag("p", CHECKS[id].sentence)), str(len(results)), worst.case,
            picture, f"{_share(worst):.2g}"]


def rest(source: Source) -> Iterator[Element]:
    """What was not checked, and why."""
    missing = [result for result in source.report.checks if result.status == "not_provided"]
    honest = [result for result in source.report.checks if result.status == "not_converged"]
    reasons = Counter((result.part, result.id, result.message) for result in missing)
    rows: list[list[Child]] = [[part, id, message, str(count)]
                               for (part, id, message), count in reasons.items()]
    rows += [[result.part, f"{result.id} on {result.case}",
              f"it says that it did not converge: {result.message}", ""] for result in honest]
    rows += [["", what, reason, ""] for what, reason in source.report.left_out.items()]
    if rows:
        yield tag("h2", "Not checked")
        yield tag("details", tag("summary", f"{len(rows)} things that the subject does not "
                                 "provide, or this machine does not have"),
                  table(("part", "check", "why", "times"), rows), class_="part")
