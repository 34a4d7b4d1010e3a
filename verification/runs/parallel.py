"""A run in worker processes, for a target that each process can load by its name.

Only the workers load and call the subject. If it crashes or ends the interpreter, a worker dies,
and the run goes on and reports which check made the call. Processes are spawned, not forked: a fork
would break the threads that JAX, torch and Numba start. Each case is examined by one worker, which
sends back its results and the evidence for the diagnosis. The diagnosis is made at the end, as a
vote over the evidence of all workers.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from functools import cached_property

from refot.backend_contract import get_backend
from refot.verification.cases.case import Case, collect
from refot.verification.checks.arguments import first
from refot.verification.checks.trial import Check
from refot.verification.diagnosis.vote import Suspects
from refot.verification.subjects.loading import TargetError
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject

from .asked import Selection, asked
from .run import CheckResult, Examined, Progress, Report, examine, refot_error, report
from .scaling import Scaling, measured, to_measure
from .selection import chosen, selected_report
from .workers import Load, Worker, Workers

MOST_DEATHS = 20
"""Once this many processes have died, no failed job is tried again in smaller pieces."""


# ------------------------------------------------------------------ in a worker process
@dataclass(frozen=True)
class Job:
    """What a worker does in one call: the selected checks on some cases."""

    cases: tuple[Case, ...]
    selection: Selection

    @property
    def one_check(self) -> bool:
        """Whether it consists of a single check, and cannot be divided."""
        return len(self.cases) == 1 and None not in (self.selection.check, self.selection.part)

    def asked_of(self, subject: Subject) -> Iterator[tuple[Part, Case, Check]]:
        """The checks of which the job consists: (part, case, check)."""
        return asked(subject.parts, self.cases, self.selection)

    def pieces(self, subject: Subject) -> list[Job]:
        """A job for each of its cases; or, if it has a single case, for each of its checks."""
        if len(self.cases) > 1:
            return [replace(self, cases=(case,)) for case in self.cases]
        return [replace(self, selection=Selection(check.id, part=part.name))
                for part, _, check in self.asked_of(subject)]


@dataclass(frozen=True)
class Share:
    """The outcome of a job: results with evidence, and what each part warned and printed."""

    examined: list[Examined]
    warned: list[set[str]] = field(default_factory=list)
    printed: list[set[str]] = field(default_factory=list)


class Examiner(Worker):
    """A worker that examines the subject, with its own probe and suspects for each part."""

    @cached_property
    def probes(self) -> list[Probe]:
        """A probe of each part of the subject."""
        return [Probe(part) for part in self.subject.parts]

    @cached_property
    def suspects(self) -> list[Suspects]:
        """For each part, the object that collects its evidence for the diagnosis."""
        return [Suspects() for _ in self.subject.parts]

    def share(self, job: Job) -> Share:
        """Make the checks of a job."""
        # not in the `try`: a TargetError, raised when the subject is loaded, is no error of refot
        probes, suspects = self.probes, self.suspects
        try:
            examined = list(examine(probes, job.cases, suspects=suspects,
                                    selection=job.selection))
        except Exception as error:  # noqa: BLE001 - what a subject raises is a result already
            examined = [Examined(refot_error(check, part.name, case, error))
                        for part, case, check in job.asked_of(self.subject)]
        return Share(examined, [probe.warned for probe in probes],
                     [probe.printed for probe in probes])

    def described(self) -> Subject:
        """The subject for another process: names and conventions, without its functions."""
        return replace(self.subject, parts=tuple(
            replace(part, capabilities=dict.fromkeys(part.capabilities, _elsewhere))
            for part in self.subject.parts))

    def measured(self, part: str, capability: str) -> tuple[Scaling, ...]:
        """Time and memory of one capability of one part."""
        return measured(replace(self.subject, parts=tuple(
            replace(each, capabilities={capability: each.capabilities[capability]})
            for each in self.subject.parts if each.name == part)))


def _elsewhere(*_: object) -> None:
    raise RuntimeError("only a worker process can call the subject")


# ------------------------------------------------------------------ the run
def run_parallel(
    load: Load, profile: str = "quick", processes: int | None = None,
    progress: Progress | None = None, seed: int = 0, selection: Selection | None = None,
    scaling: bool = False,
) -> Report:
    """As `run.run`, or `selection.run_selection`, in `processes` worker processes.

    If a worker dies, its job is repeated case by case. If one dies again, that case is repeated
    check by check, and a check that also ends a fresh worker is an error. With `scaling`, time and
    memory of the same parts are measured, too. Raises TargetError, SelectionError, InputError.
    """
    get_backend()  # a wrong REFOT_BACKEND raises here, before any work
    selection = selection or Selection()
    cases, left_out = collect(profile, seed)
    with Workers(Examiner(load), processes or 2) as workers:
        subject = workers.alone(Examiner.described)
        if subject is None:
            raise TargetError("the target ends the interpreter while it is loaded")
        found = (chosen(selection, subject, cases) if selection.some
                 else list(asked(subject.parts, cases)))
        jobs = _jobs([case for case in cases if any(case is each for _, each, _ in found)],
                     selection)
        shares: list[Share] = []
        at_once = processes or _worth_spreading(subject, profile)
        for done, (job, share) in enumerate(_each(workers, jobs, at_once), 1):
            shares += [share] if share is not None else _salvaged(workers, subject, job)
            if progress is not None:
                progress(job.cases[0].name, done, len(jobs))
        order = {case.name: k for k, case in enumerate(cases)}
        examined = sorted((each for share in shares for each in share.examined),
                          key=lambda each: order[each.result.case])
        probes = _probes(subject, shares)
        told = (selected_report(subject, found, profile, examined, probes) if selection.some
                else report(subject, profile, examined, left_out, probes))
    if not scaling:
        return told
    with Workers(Examiner(load), 1) as workers:  # alone, with all the cores
        return _with_scaling(workers, told, progress)


def _jobs(cases: list[Case], selection: Selection) -> list[Job]:
    """A job for each shape and dtype, for which JAX then compiles only once.

    Jobs that take long come first: a long one at the end would keep one worker busy and the others
    idle. The longest is the one with the case on which bad input is tried: a third of the time of
    all calls goes there.
    """
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.C.shape, case.C.dtype].append(case)

    def work(alike: list[Case]) -> tuple[bool, float]:
        size = sum(float(case.C.size) * min(case.spread / case.eps, 1e4) for case in alike)
        return any(map(first, alike)), size

    return [Job(tuple(alike), selection) for alike in sorted(groups.values(), key=work,
                                                             reverse=True)]


def _worth_spreading(subject: Subject, profile: str) -> int:
    """The number of workers: 2, and 1 for a small run, which the start of a second would delay."""
    many = len(subject.parts) > 1 or profile != "quick"
    return min(2, os.cpu_count() or 1) if many else 1


def _each(
    workers: Workers[Examiner], jobs: list[Job], at_once: int
) -> Iterator[tuple[Job, Share | None]]:
    """Each job with its outcome, in the order in which they end.

    If one process dies, the pool ends all of them, and the outcome of every job that was handed out
    is None. So no more jobs are handed out than there are workers: a death then costs few jobs.
    """
    left, in_hand = deque(jobs), dict[Future[Share], Job]()
    while left or in_hand:
        while left and len(in_hand) < at_once:
            try:
                in_hand[workers.submit(Examiner.share, left[0])] = left[0]
            except BrokenProcessPool:
                # a job that was handed out before has ended its worker; its future says so below
                break
            left.popleft()
        for future in workers.ended(in_hand):
            job = in_hand.pop(future)
            try:
                yield job, future.result()
            except BrokenProcessPool:
                workers.restart_after_death()
                yield job, None
                yield from ((other, None) for other in in_hand.values())
                in_hand.clear()
                break


def _salvaged(workers: Workers[Examiner], subject: Subject, job: Job) -> Iterator[Share]:
    """Repeat a job during which a worker died, piece by piece.

    A single check is tried twice. The second worker is fresh, so that nothing that ran before the
    check can be to blame for its death.
    """
    for piece in job.pieces(subject):
        if workers.deaths >= MOST_DEATHS:
            yield _crashed(subject, piece,
                           f"it has crashed {MOST_DEATHS} times, and is asked no more")
            continue
        share = workers.alone(Examiner.share, piece)
        if share is None and piece.one_check:
            share = workers.alone(Examiner.share, piece)
            share = share or _crashed(subject, piece, "this check crashed the interpreter")
        yield from _salvaged(workers, subject, piece) if share is None else [share]


def _crashed(subject: Subject, job: Job, why: str) -> Share:
    """The outcome of a job that could not be done: each of its checks is an error."""
    return Share([
        Examined(CheckResult(check.id, part.name, check.capability, case.name, "error",
                             message=f"not known: {why}", difficulty=case.difficulty.value,
                             said=why))
        for part, case, check in job.asked_of(subject)])


def _probes(subject: Subject, shares: list[Share]) -> list[Probe]:
    """A probe for each part, with what the part warned and printed in all processes."""
    probes = [Probe(part) for part in subject.parts]
    for share in shares:
        for probe, warned, printed in zip(probes, share.warned, share.printed, strict=False):
            probe.warned |= warned
            probe.printed |= printed
    return probes


def _with_scaling(workers: Workers[Examiner], found: Report, progress: Progress | None) -> Report:
    """The report with time and memory of its parts.

    A measurement during which a worker dies is named in `left_out`.
    """
    asked = [(part.name, name) for part, name in to_measure(found.subject)]
    scalings: list[Scaling] = []
    left_out = dict(found.left_out)
    for k, (part, name) in enumerate(asked):
        if progress is not None:
            progress(f"time and memory: {part}", k, len(asked))
        scaling = workers.alone(Examiner.measured, part, name)
        if scaling is None:
            left_out[f"time and memory of {part}, {name}"] = "measuring it crashed the interpreter"
        scalings += scaling or ()
    return replace(found, scaling=tuple(scalings), left_out=left_out)
