"""A report as one HTML file: no network, nothing to install, no script needed to read it.

The page is built as a tree (`elements.py`), so that no text of a subject can become markup. Its
Content-Security-Policy allows its own style and script, by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata, resources
from pathlib import Path
from xml.etree.ElementTree import Element

import refot
from refot.files import write_text
from refot.verification.cases.case import collect
from refot.verification.reports.rerun import Rerun
from refot.verification.reports.verdict import causes, part_verdicts
from refot.verification.runs.digit_table import digit_table
from refot.verification.runs.run import Report

from .elements import Child, page, table, tag
from .results import errors, failures, own_errors, passed, rest
from .scaling import scalings
from .source import Source

WHAT_IT_SAYS = {"passed": "passed", "failed": "failed", "error": "errors",
                "not_converged": "not converged, and said so", "refot_error": "errors of refot",
                "not_provided": "not provided"}
"""The statuses, as the summary calls them."""

SELDOM = ("not_converged", "refot_error")
"""Statuses that the summary leaves out if no check has them."""


def write_html(report: Report, path: Path, words: Iterable[str], seed: int = 0) -> None:
    """Write the report as an HTML file; `words` are those after `refot verify` on the command
    line."""
    cases = {case.name: case for case in collect(report.profile, seed)[0]}
    write_text(path, html(Source(report, cases, Rerun(tuple(words)))))


def html(source: Source) -> str:
    """The whole page."""
    style, script = (_template(name) for name in ("report.css", "report.js"))
    policy = (f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
              "base-uri 'none'; form-action 'none'")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"refot verify: {source.title}"),
        tag("style", style))
    main = tag("main", *_summary(source), *own_errors(source), *_causes(source),
               *failures(source), *_digits(source), *errors(source), *scalings(source),
               *passed(source), *rest(source), *_versions(source))
    body = tag("body", tag("header", tag("h1", source.title), _verdict(source.report)), main,
               tag("script", script))
    return page(tag("html", head, body, lang="en"))


def _template(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a Content-Security-Policy names an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# ------------------------------------------------------------------ the summary
def _verdict(report: Report) -> Element:
    counts = [tag("span", f"{report.count(status)} {words}", class_=f"count {status}")
              for status, words in WHAT_IT_SAYS.items()
              if report.count(status) or status not in SELDOM]
    return tag("p", *counts, class_="counts")


def _summary(source: Source) -> Iterator[Element]:
    report = source.report
    counts = Counter((result.part, result.status) for result in report.checks)
    place = {part.name: (k, part) for k, part in enumerate(report.subject.parts)}
    rows: list[list[Child]] = []
    for verdict in part_verdicts(report):
        k, part = place[verdict.name]
        rows.append([
            tag("a", part.name, href=f"#part-{k}") if source.wrong(part.name) else part.name,
            verdict.sentence(),
            *(str(counts[part.name, status]) for status in ("passed", "failed", "error")),
            ", ".join(part.capabilities), part.calls or part.convention])
    yield tag("h2", "Summary")
    yield table(("part", "verdict", "passed", "failed", "errors", "capabilities", "convention"),
                rows)
    yield tag("p", "Each number is compared with an interval that certainly contains the right "
              "one. The whole run again: ", tag("code", source.rerun.whole()))


def _causes(source: Source) -> Iterator[Element]:
    """A table of the causes of failures: level, cause, number of checks, and their parts."""
    rows: list[list[Child]] = [
        [cause.level.value, cause.words, str(len(cause.results)),
         *([", ".join(dict.fromkeys(result.part for result in cause.results))]
           if source.several_parts else [])]
        for cause in causes(source.report)]
    if rows:
        yield tag("h2", "Causes")
        yield table(("level", "cause", "checks", "parts")[: len(rows[0])], rows, class_="diagnoses")


def _digits(source: Source) -> Iterator[Element]:
    """The right digits by capability and difficulty."""
    rows: list[list[Child]] = [
        [row.part, row.capability, row.difficulty, f"{row.worst:.1f}", f"{row.median:.1f}",
         str(row.comparisons)] for row in digit_table(source.report.checks)]
    if rows:
        yield tag("h2", "Right digits")
        yield tag("p", "-log10 of the relative error against the certified interval, no more than "
                  "the interval proves.", class_="key")
        yield table(("part", "capability", "difficulty", "worst", "median", "comparisons"), rows)


def _versions(source: Source) -> Iterator[Element]:
    """The versions with which the report was made."""
    report = source.report
    rows: list[list[Child]] = [
        ["subject", source.title], ["refot", refot.__version__],
        ["Python", f"{platform.python_version()} on {platform.platform()}"],
        ["NumPy, SciPy", ", ".join(map(metadata.version, ("numpy", "scipy")))],
        ["backend", report.backend], ["profile", report.profile]]
    yield tag("h2", "Versions")
    yield table(("what", "version"), rows)
