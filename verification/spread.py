"""A run spread over processes, a few cases at a time: for targets that a process can load itself.

Processes are spawned, not forked, which is safe for what JAX, torch and Numba start. Each loads the
target anew; a case is examined by one of them, and its evidence comes back for the common vote.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from .cases import Case, collect
from .diagnosis import Suspects
from .isolation import undisturbed
from .probe import Probe
from .run import Examined, Progress, Report, examine, report
from .subjects import Subject

Load = Callable[[], Subject]
"""Loads the subject; can be pickled."""


class DiedError(ValueError):
    """A process ended in the middle of a call: the subject crashed the interpreter."""


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
    """As `run.run`, over so many processes. Raises DiedError, InputError."""
    cases, left_out = collect(profile, seed)
    order = {case.name: k for k, case in enumerate(cases)}
    shares: dict[int, Share] = {}
    context = multiprocessing.get_context("spawn")
    with undisturbed(), ProcessPoolExecutor(processes, context, _start, (load,)) as pool:
        try:
            waiting = {pool.submit(_share, alike): alike for alike in _alike(cases)}
            for future in as_completed(waiting):
                first = waiting[future][0]
                shares[order[first.name]] = _result(future, first)
                if progress is not None:
                    progress(first.name, len(shares), len(waiting))
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    examined = sorted((each for share in shares.values() for each in share.examined),
                      key=lambda each: order[each.result.case])
    probes = [Probe(part) for part in subject.parts]
    for share in shares.values():
        for probe, warned, printed in zip(probes, share.warned, share.printed, strict=True):
            probe.warned |= warned
            probe.printed |= printed
    return report(subject, profile, examined, left_out, probes)


def _alike(cases: list[Case]) -> list[list[Case]]:
    """The cases by their shapes and dtypes, for which JAX compiles once, and those that take long
    first, so that no process is left with them at the end."""
    groups: dict[object, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.C.shape, case.C.dtype].append(case)

    def work(alike: list[Case]) -> float:
        return sum(float(case.C.size) * min(case.spread / case.eps, 1e4) for case in alike)

    return sorted(groups.values(), key=work, reverse=True)


def _result(future: Future[Share], case: Case) -> Share:
    try:
        return future.result()
    except BrokenProcessPool:
        raise DiedError(f"a process died on the case {case.name} or one beside it: what is "
                        "verified crashed the interpreter") from None
