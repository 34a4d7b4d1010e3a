"""A run spread over processes, a few cases at a time: for targets that a process can load itself.

Processes are spawned, not forked, which is safe for what JAX, torch and Numba start. Each loads the
target anew; a case is examined by one of them, and its evidence comes back for the common vote.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from .cases import Case, collect
from .checks import CHECKS
from .diagnosis import Suspects
from .isolation import undisturbed
from .probe import Probe
from .run import CheckResult, Examined, Progress, Report, examine, report
from .subjects import Subject

Load = Callable[[], Subject]
"""Loads the subject; can be pickled."""


@dataclass
class _Worker:
    """What a process keeps: its own probes of the subject, and what it suspects of them."""

    probes: list[Probe]
    suspects: list[Suspects]


@dataclass(frozen=True)
class Share:
    """What some cases gave: results with evidence, and what each part said on the side."""

    examined: list[Examined]
    warned: list[set[str]] = field(default_factory=list)
    printed: list[set[str]] = field(default_factory=list)


_worker: list[_Worker] = []


def _start(load: Load) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends us
    probes = [Probe(part) for part in load().parts]
    _worker.append(_Worker(probes, [Suspects() for _ in probes]))


def _share(cases: list[Case]) -> Share:
    (worker,) = _worker
    examined = list(examine(worker.probes, cases, suspects=worker.suspects))
    return Share(examined, [probe.warned for probe in worker.probes],
                 [probe.printed for probe in worker.probes])


def run_spread(
    load: Load, subject: Subject, profile: str, processes: int, progress: Progress | None = None,
    seed: int = 0,
) -> Report:
    """As `run.run`, over so many processes. Raises InputError.

    Where a process dies, because the subject crashed the interpreter, what it had in hand is done
    again case by case, and the cases on which one dies again are errors of all their checks.
    """
    cases, left_out = collect(profile, seed)
    shares: list[Share] = []
    groups = _alike(cases)
    with undisturbed():
        for alike, share in _work(load, groups, processes):
            shares += [share] if share is not None else _salvaged(load, subject, alike)
            if progress is not None:
                progress(alike[0].name, len(shares), len(groups))
    order = {case.name: k for k, case in enumerate(cases)}
    examined = sorted((each for share in shares for each in share.examined),
                      key=lambda each: order[each.result.case])
    probes = [Probe(part) for part in subject.parts]
    for share in shares:
        for probe, warned, printed in zip(probes, share.warned, share.printed, strict=False):
            probe.warned |= warned
            probe.printed |= printed
    return report(subject, profile, examined, left_out, probes)


def _work(
    load: Load, groups: list[list[Case]], processes: int
) -> Iterator[tuple[list[Case], Share | None]]:
    """Each group with what it gave, as they are done; None for those in hand where a process died.

    No more are in hand than there are processes, so that a death accuses few.
    """
    context, left = multiprocessing.get_context("spawn"), deque(groups)
    while left:
        with ProcessPoolExecutor(processes, context, _start, (load,)) as pool:
            try:
                yield from _until_one_dies(pool, left, processes)
            except BaseException:
                for process in multiprocessing.active_children():
                    process.terminate()
                raise


def _until_one_dies(
    pool: ProcessPoolExecutor, left: deque[list[Case]], processes: int
) -> Iterator[tuple[list[Case], Share | None]]:
    """What is left, taken from it as it is begun."""
    in_hand: dict[Future[Share], list[Case]] = {}
    while left or in_hand:
        while left and len(in_hand) < processes:
            try:
                in_hand[pool.submit(_share, left[0])] = left[0]
            except BrokenProcessPool:  # one in hand has died, and is told below
                break
            left.popleft()
        for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
            alike = in_hand.pop(future)
            try:
                yield alike, future.result()
            except BrokenProcessPool:
                yield alike, None
                yield from ((other, None) for other in in_hand.values())
                return


def _salvaged(load: Load, subject: Subject, alike: list[Case]) -> list[Share]:
    """What can be had of a group with which a process died: first as a whole, then case by case."""
    ((_, share),) = _work(load, [alike], 1)
    if share is not None:
        return [share]
    if len(alike) == 1:
        return [Share(list(_crashed(subject, alike[0])))]
    return [share for case in alike for share in _salvaged(load, subject, [case])]


def _crashed(subject: Subject, case: Case) -> Iterator[Examined]:
    """An error of each check of a case."""
    for part in subject.parts:
        for check in CHECKS.values():
            if check.capability in part.capabilities and check.applies(case):
                yield Examined(CheckResult(
                    check.id, part.name, check.capability, case.name, "error",
                    message="not known: a call on this case crashed the interpreter"))


def _alike(cases: list[Case]) -> list[list[Case]]:
    """The cases by their shapes and dtypes, for which JAX compiles once, and those that take long
    first, so that no process is left with them at the end."""
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.C.shape, case.C.dtype].append(case)

    def work(alike: list[Case]) -> float:
        return sum(float(case.C.size) * min(case.spread / case.eps, 1e4) for case in alike)

    return sorted(groups.values(), key=work, reverse=True)
