"""A run in processes of its own: for targets that a process can load itself.

They alone load the subject and call it: one that crashes or ends the interpreter ends a process
whose death is noticed, and is told of the check that asked. Processes are spawned, not forked,
which is safe for what JAX, torch and Numba start. A case is examined by one of them, and its
evidence comes back for the common vote.
"""

from __future__ import annotations

import os
from collections import defaultdict, deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace

from refot.backend_contract import get_backend
from refot.verification.cases.case import Case, collect
from refot.verification.checks.trial import Check
from refot.verification.diagnosis.vote import Suspects
from refot.verification.subjects.loading import TargetError
from refot.verification.subjects.probe import Probe
from refot.verification.subjects.subject import Part, Subject

from .asked import Selection, asked
from .run import CheckResult, Examined, Progress, Report, examine, refot_error, report
from .scaling import Scaling, measured, to_measure
from .selection import chosen, selected_report
from .workers import Crew, Load, subject_here

MOST_DEATHS = 20
"""After so many processes that died, what was asked of one is not asked again in smaller pieces."""


# ------------------------------------------------------------------ what a process does
@dataclass(frozen=True)
class Job:
    """What one process is asked at a time: some cases, and which checks of which parts."""

    cases: tuple[Case, ...]
    selection: Selection

    @property
    def one_check(self) -> bool:
        """Whether it cannot be told apart any further."""
        return len(self.cases) == 1 and None not in (self.selection.check, self.selection.part)

    def asked_of(self, subject: Subject) -> Iterator[tuple[Part, Case, Check]]:
        """What it asks of the subject."""
        return asked(subject.parts, self.cases, self.selection)

    def pieces(self, subject: Subject) -> list[Job]:
        """Its cases one by one; of one case its checks one by one."""
        if len(self.cases) > 1:
            return [replace(self, cases=(case,)) for case in self.cases]
        return [replace(self, selection=Selection(check.id, part=part.name))
                for part, _, check in self.asked_of(subject)]


@dataclass(frozen=True)
class Share:
    """What a job gave: results with evidence, and what each part said on the side."""

    examined: list[Examined]
    warned: list[set[str]] = field(default_factory=list)
    printed: list[set[str]] = field(default_factory=list)


@dataclass
class _Worker:
    """What a process keeps: its own probes of the subject, and what it suspects of them."""

    probes: list[Probe]
    suspects: list[Suspects]


_worker: list[_Worker] = []


def _share(job: Job) -> Share:
    if not _worker:
        parts = subject_here().parts
        _worker.append(_Worker([Probe(part) for part in parts], [Suspects() for _ in parts]))
    (worker,) = _worker
    try:
        examined = list(examine(worker.probes, job.cases, suspects=worker.suspects,
                                selection=job.selection))
    except Exception as error:  # noqa: BLE001 - refot's own: what a subject raises is a result
        examined = [Examined(refot_error(check, part.name, case.name, error))
                    for part, case, check in job.asked_of(subject_here())]
    return Share(examined, [probe.warned for probe in worker.probes],
                 [probe.printed for probe in worker.probes])


def _without_calls() -> Subject:
    """The subject as another process may know it: what it offers, and nothing to call."""
    subject = subject_here()
    return replace(subject, parts=tuple(
        replace(part, capabilities=dict.fromkeys(part.capabilities, _elsewhere))
        for part in subject.parts))


def _elsewhere(*_: object) -> None:
    raise RuntimeError("this process only tells of the subject, and cannot call it")


def _measured(part: str, capability: str) -> tuple[Scaling, ...]:
    subject = subject_here()
    return measured(replace(subject, parts=tuple(
        replace(each, capabilities={capability: each.capabilities[capability]})
        for each in subject.parts if each.name == part)))


# ------------------------------------------------------------------ the run
def run_spread(
    load: Load, profile: str = "quick", processes: int | None = None,
    progress: Progress | None = None, seed: int = 0, selection: Selection | None = None,
    scaling: bool = False,
) -> Report:
    """As `run.run`, or `selection.run_selection`, in so many processes other than this one.

    Where a process dies, what it had in hand is done again case by case, a case on which one dies
    again check by check, and the checks that end a fresh process are errors. `scaling` measures
    time and memory of the same parts, too. Raises TargetError, SelectionError, InputError.
    """
    get_backend()  # a wrong REFOT_BACKEND is told before any work
    selection = selection or Selection()
    cases, left_out = collect(profile, seed)
    with Crew(load, processes or 2) as crew:
        subject = crew.alone(_without_calls)
        if subject is None:
            raise TargetError("the target ends the interpreter while it is loaded")
        found = (chosen(selection, subject, cases) if selection.some
                 else list(asked(subject.parts, cases)))
        jobs = _jobs([case for case in cases if any(case is each for _, each, _ in found)],
                     selection)
        shares: list[Share] = []
        at_once = processes or _worth_spreading(subject, profile)
        for done, (job, share) in enumerate(_each(crew, jobs, at_once), 1):
            shares += [share] if share is not None else _salvaged(crew, subject, job)
            if progress is not None:
                progress(job.cases[0].name, done, len(jobs))
        order = {case.name: k for k, case in enumerate(cases)}
        examined = sorted((each for share in shares for each in share.examined),
                          key=lambda each: order[each.result.case])
        probes = _probes(subject, shares)
        told = (selected_report(subject, found, profile, examined, probes) if selection.some
                else report(subject, profile, examined, left_out, probes))
        return _with_scaling(crew, told, progress) if scaling else told


def _jobs(cases: list[Case], selection: Selection) -> list[Job]:
    """The cases by their shapes and dtypes, for which JAX compiles once, and those that take long
    first, so that no process is left with them at the end."""
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.C.shape, case.C.dtype].append(case)

    def work(alike: list[Case]) -> float:
        return sum(float(case.C.size) * min(case.spread / case.eps, 1e4) for case in alike)

    return [Job(tuple(alike), selection) for alike in sorted(groups.values(), key=work,
                                                             reverse=True)]


def _worth_spreading(subject: Subject, profile: str) -> int:
    """2 for many parts or many cases, where there are processors; a small run ends sooner in 1."""
    many = len(subject.parts) > 1 or profile != "quick"
    return min(2, os.cpu_count() or 1) if many else 1


def _each(crew: Crew, jobs: list[Job], at_once: int) -> Iterator[tuple[Job, Share | None]]:
    """Each job with what it gave, as they are done; None for those in hand where a process died.

    No more are in hand than are done at once, so that a death accuses few.
    """
    left, in_hand = deque(jobs), dict[Future[Share], Job]()
    while left or in_hand:
        while left and len(in_hand) < at_once:
            try:
                in_hand[crew.submit(_share, left[0])] = left[0]
            except BrokenProcessPool:  # one in hand has died, and is told below
                break
            left.popleft()
        for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
            job = in_hand.pop(future)
            try:
                yield job, future.result()
            except BrokenProcessPool:
                crew.bury()
                yield job, None
                yield from ((other, None) for other in in_hand.values())
                in_hand.clear()
                break


def _salvaged(crew: Crew, subject: Subject, job: Job) -> Iterator[Share]:
    """What can be had of a job with which a process died: piece by piece. A check with which one
    died is asked again in a fresh one, so that nothing before it is to blame."""
    for piece in job.pieces(subject):
        if crew.deaths >= MOST_DEATHS:
            yield _crashed(subject, piece,
                           f"it has crashed {MOST_DEATHS} times, and is asked no more")
            continue
        share = crew.alone(_share, piece)
        if share is None and piece.one_check:
            share = crew.alone(_share, piece)
            share = share or _crashed(subject, piece, "this check crashed the interpreter")
        yield from _salvaged(crew, subject, piece) if share is None else [share]


def _crashed(subject: Subject, job: Job, why: str) -> Share:
    """An error of each check of a job."""
    return Share([
        Examined(CheckResult(check.id, part.name, check.capability, case.name, "error",
                             message=f"not known: {why}"))
        for part, case, check in job.asked_of(subject)])


def _probes(subject: Subject, shares: list[Share]) -> list[Probe]:
    """Of each part a probe that knows what it said in any process."""
    probes = [Probe(part) for part in subject.parts]
    for share in shares:
        for probe, warned, printed in zip(probes, share.warned, share.printed, strict=False):
            probe.warned |= warned
            probe.printed |= printed
    return probes


def _with_scaling(crew: Crew, found: Report, progress: Progress | None) -> Report:
    """The report with time and memory of its parts, as far as no process dies of measuring them."""
    asked = [(part.name, name) for part, name in to_measure(found.subject)]
    scalings: list[Scaling] = []
    left_out = dict(found.left_out)
    for k, (part, name) in enumerate(asked):
        if progress is not None:
            progress(f"time and memory: {part}", k, len(asked))
        scaling = crew.alone(_measured, part, name)
        if scaling is None:
            left_out[f"time and memory of {part}, {name}"] = "measuring it crashed the interpreter"
        scalings += scaling or ()
    return replace(found, scaling=tuple(scalings), left_out=left_out)
