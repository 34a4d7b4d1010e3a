"""The pytest plugin: each check on each case of a subject is one test. docs/pytest-plugin.md.

The list of tests depends only on the subject, the profile and the installed data, so that every
worker of pytest-xdist finds the same tests in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from refot.verification.cases.case import Case, collect
from refot.verification.checks import CHECKS
from refot.verification.checks.trial import Trial
from refot.verification.reports.terminal import interval_text
from refot.verification.runs.asked import asked
from refot.verification.runs.exclusions import (
    Exclusion,
    ExclusionError,
    first_match,
    read_exclusions,
)
from refot.verification.runs.levels import COUNTED
from refot.verification.runs.program import load_command
from refot.verification.runs.run import CheckResult, Examined, diagnosed, run_check
from refot.verification.subjects.capabilities import missing_from
from refot.verification.subjects.isolation import undisturbed
from refot.verification.subjects.limits import Limits
from refot.verification.subjects.loading import TargetError, load
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject
from refot.verification.truth.solution import solution_of


def register(config: pytest.Config) -> None:
    """Add the tests that the options ask for to this run of pytest. Raises pytest.UsageError."""
    try:
        config.pluginmanager.register(Suite(config), "refot-suite")
    except (TargetError, ExclusionError, ValueError) as error:
        raise pytest.UsageError(f"refot: {error}") from None


class CheckFailedError(Exception):
    """A check failed, or the subject did not answer; `result` says how."""

    def __init__(self, result: CheckResult) -> None:
        super().__init__(result)  # the argument from which `pickle` makes the exception again
        self.result = result

    def __str__(self) -> str:
        return self.result.message


class RefotError(Exception):
    """refot's own code raised. `result` has its traceback, and says nothing of the subject."""

    def __init__(self, result: CheckResult) -> None:
        super().__init__(result)  # the argument from which `pickle` makes the exception again
        self.result = result

    def __str__(self) -> str:
        return self.result.message


class Suite:
    """The subject with its tests, and the lists of checks that are skipped or expected to fail."""

    def __init__(self, config: pytest.Config) -> None:
        target, command, capability, profile, skip, xfail, self.strict = (
            config.getoption(f"refot_{name}")
            for name in ("subject", "command", "as", "profile", "skip", "xfail", "strict"))
        if (target is None) == (command is None):
            raise ValueError("one of --refot-subject and --refot-command is due")
        cases, self.left_out = collect(profile)
        self.skip = read_exclusions(Path(skip)) if skip else []
        self.xfail = read_exclusions(Path(xfail)) if xfail else []
        self.subject = _loaded(target, command, capability, profile)
        self.name = target or command
        self.tests = list(_tests(self.subject, cases))

    def stale(self) -> list[Exclusion]:
        """The lines of both lists (--refot-skip, --refot-xfail) that match no test."""
        return [line for line in (*self.skip, *self.xfail)
                if not any(line.matches(test.check, test.case_name) for test in self.tests)]

    # -------------------------------------------------------------- hooks
    @pytest.hookimpl(tryfirst=True)  # before the options -k and --lf select tests
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add one test for each check on each case, behind the tests that were found in files."""
        suite = SuiteNode.from_parent(session, name=f"refot[{self.name}]", nodeid="refot")
        added = [TestItem.from_parent(suite, name=test.name, test=test, strict=self.strict)
                 for test in self.tests]
        for item, test in zip(added, self.tests, strict=True):
            if skipped := first_match(self.skip, test.check, test.case_name):
                item.add_marker(pytest.mark.skip(reason=_because(skipped)))
            elif expected := first_match(self.xfail, test.check, test.case_name):
                item.add_marker(pytest.mark.xfail(
                    reason=_because(expected), raises=CheckFailedError, strict=True))
        items += added
        counted = pytest.CollectReport("refot", "passed", None, [*added])
        # Without it, pytest's line "collected 99 items" would not count them.
        session.config.hook.pytest_collectreport(report=counted)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the lines of the lists that match no test, and the cases that could not be made."""
        lines = [f"{line.place}: stale: matches none of the {len(self.tests)} tests of this run: "
                 f"{line.check} {line.case}" for line in self.stale()]
        lines += [f"left out: {case}: {reason}" for case, reason in self.left_out.items()]
        if lines:
            terminalreporter.section("refot")
            for line in lines:
                terminalreporter.line(line, yellow=True)


def _loaded(target: str | None, command: str | None, capability: str | None, profile: str
            ) -> Subject:
    if command is None:
        assert target is not None
        return load(target, capability)
    if capability is not None:
        raise ValueError(f"--refot-as {capability}: a command says itself what it offers")
    return load_command(command, profile, Limits())


def _because(line: Exclusion) -> str:
    return f"{line.place}: {line.reason}" if line.reason else line.place


# ------------------------------------------------------------------ the tests
@dataclass(frozen=True)
class Test:
    """One check of one part of the subject (a set of its functions) on one case. Without a case, it
    stands for a capability that the subject does not offer."""

    check: str
    case_name: str
    name: str
    sentence: str
    probe: Probe = field(repr=False)
    case: Case | None = field(default=None, repr=False)

    def result(self) -> CheckResult:
        """What `refot verify` would report, but with a diagnosis from this one check alone."""
        if self.case is None:
            return CheckResult(self.check, "", self.check, "", "not_provided",
                               message=self.sentence)
        trial = Trial(self.probe, self.case, solution_of(self.case))
        with undisturbed():
            examined: Examined = run_check(CHECKS[self.check], trial)
        (found,) = diagnosed([examined])
        return found


def _tests(subject: Subject, cases: list[Case]) -> Iterator[Test]:
    """Every test in the order of parts, cases and checks; then one for each capability that the
    subject does not offer."""
    probes = {part.name: Probe(part) for part in subject.parts}
    order = list(probes)
    walk = sorted(asked(subject.parts, cases), key=lambda each: order.index(each[0].name))
    for part, case, check in walk:
        prefix = f"{part.name}::" if len(probes) > 1 else ""
        yield Test(check.id, case.name, f"{prefix}{check.id}[{case.name}]", check.sentence,
                   probes[part.name], case)
    nobody = Probe(Part("", {}))
    for missing in missing_from(subject.offered):
        yield Test(f"{missing.name}.*", "", f"{missing.name}.*", missing.signature, nobody)


class SuiteNode(pytest.Collector):
    """The parent of all tests of the subject in pytest's tree."""

    def collect(self) -> list[pytest.Item]:
        """Nothing: `Suite` adds the tests itself."""
        return []


class TestItem(pytest.Item):
    """A `Test` as an item that pytest runs and reports."""

    __test__ = False

    def __init__(self, *, test: Test, strict: bool = False, **rest: Any) -> None:
        super().__init__(**rest)
        self.test, self.strict = test, strict

    def runtest(self) -> None:
        """Run the check. Raises CheckFailedError and RefotError. The test is skipped if the subject
        does not offer the capability, or if it says that it did not converge where it need not.

        Without `strict`, a failure of a level that does not count (`runs/levels.py`) is reported as
        an expected failure.
        """
        result = self.test.result()
        if result.status == "not_provided":
            pytest.skip(f"not provided: {result.message}")
        if result.status == "not_converged":
            pytest.skip(f"it says that it did not converge: {result.message}")
        if result.status == "refot_error":
            raise RefotError(result)
        if result.status == "passed":
            return
        if not (self.strict or result.level in COUNTED or self.get_closest_marker("xfail")):
            pytest.xfail(f"{result.level.value}: {result.diagnosis or result.message}")
        raise CheckFailedError(result)

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        """The result in words, with the traceback if refot's own code raised. Any other exception
        is shown as pytest shows it."""
        if isinstance(excinfo.value, RefotError):
            return f"{excinfo.value}\n{excinfo.value.result.traceback}"
        if not isinstance(excinfo.value, CheckFailedError):
            return super().repr_failure(excinfo, style)
        return "\n".join(_described(excinfo.value.result, self.test.sentence))

    def reportinfo(self) -> tuple[Path, int, str]:
        """(path, line, heading of a failure). The test stands in no file, so that path and line
        have no meaning."""
        return self.path, 0, f"refot: {self.name}"


def _described(result: CheckResult, sentence: str) -> Iterator[str]:
    """A failure, line by line."""
    yield f"{result.level.value}: {result.id} on {result.case}: {sentence}"
    if result.measured is not None and result.error is not None:
        certified = "-" if result.expected is None else interval_text(*result.expected)
        yield f"measured:  {result.measured:.10g}"
        yield f"certified: {certified}"
        yield f"off by:    {result.error:.2g} (allowed: {result.tolerance:.2g})"
    for name, text in (("", result.message), ("diagnosis: ", result.diagnosis)):
        if text:
            yield name + text
