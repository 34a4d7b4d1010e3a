"""When a solve ends: at its tolerance, a time limit, a certified gap, or where rounding allows no
smaller error.

`Control` holds what the user asked for, and `Watch` what has happened so far. `Finish` says whether
the iterates have reached their tolerance. `StoppedBy` names every reason to end.
"""

from __future__ import annotations

import math
import sys
import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from enum import StrEnum

from refot.arrays import Array, InputError, TypeInputError, as_count, as_positive
from refot.problem import Problem
from refot.solvers.accuracy import (
    Accuracy,
    Sums,
    accuracy,
    atom_tolerance,
    rounding_floor,
    sums,
    swept,
)
from refot.solvers.gap import CertifiedGap, PlanOfGap, gap_and_sums, gap_of
from refot.solvers.progress import Bar, Progress

GAP_SHARE = 0.08
"""The gap is computed where it is likely to be small enough; and besides, so seldom that this takes
at most this part of the time of the solve."""

SHORT_OF = 0.8
"""From the last gap follows at which marginal error the gap should be small enough. The gap is
computed again when the error has fallen to this multiple of that one."""

PATIENCE = 30
"""A solve ends, stopped by rounding, after this number of iterations without a smaller error, if
rounding alone can explain the smallest one (`rounding_floor`)."""

SWEEPS = 8
"""To bring the potentials of light atoms (points of tiny weight: `accuracy`) near their transforms,
a first attempt makes at most this number of Sinkhorn iterations. Each later attempt makes at most
twice as many as the one before, and starts where that ended."""

PAUSE = 16
"""Between two such attempts the method makes 1, 2, 4, ... iterations, at most this number."""

IDLE = 8
"""After this number of attempts in a row, each of which lowers the atom error by less than a tenth,
the solve has stalled."""

_deadline: ContextVar[float] = ContextVar("refot_deadline", default=math.inf)


def out_of_time() -> bool:
    """Whether the time limit of the running solve is over. Long loops within an iteration ask
    it."""
    return time.perf_counter() >= _deadline.get()


class StoppedBy(StrEnum):
    """Why a solve ended: a text, and `advice` on what to do where its errors are too large."""

    advice: str

    def __new__(cls, text: str, advice: str = "") -> StoppedBy:
        """The member for a text; the text alone is its value, and what it is pickled as."""
        member = str.__new__(cls, text)
        member._value_, member.advice = text, advice
        return member

    TOLERANCE = "tolerance"
    """The errors are within the tolerance."""

    GAP = "gap"
    """The certified gap is as small as was asked for."""

    ITERATIONS = "iterations", "allow more iterations, or leave them out"
    """As many sweeps were taken as were asked for, whatever their error."""

    TIME_LIMIT = "time limit", "give it more time_limit, or go on from its g"
    MAX_ITER = "max_iter", "allow more max_iter, or use solve with method 'auto'"

    ROUNDING = "rounding", "its floats reach no less: take float64, a larger eps or tol"
    """The error has not fallen for many iterations, and is at what the precision allows."""

    STALL = "stall", "take another method, a larger eps or a larger tol"
    """The method made no more progress though rounding allows it, or it does not get the potential
    of a light atom right."""

    INFEASIBLE = "infeasible", "allow more pairs, or change the weights"
    """No plan avoids the forbidden pairs."""

    def __repr__(self) -> str:
        """The repr of the text, so that a result prints as its user would write it."""
        return repr(self.value)


@dataclass(frozen=True)
class Control:
    """What the user asked for beside a tolerance."""

    time_limit: float | None = None
    """Seconds."""

    gap: float | None = None
    """The relative gap at which to stop."""

    certified: bool = False
    """Whether to prove the gap at the end."""

    progress: Progress | bool = False
    """A function of (iteration, error, elapsed), or True for a bar."""

    iterations: int | None = None
    """The number of iterations to run, no more and no less."""

    begin: float = field(default_factory=time.perf_counter)
    """The time from which on seconds count."""

    def __post_init__(self) -> None:
        if self.iterations is not None:
            object.__setattr__(self, "iterations", as_count(self.iterations, "iterations"))
            for name in ("time_limit", "gap"):
                if getattr(self, name) is not None:
                    raise InputError(name, f"{getattr(self, name)!r} beside iterations",
                                     "one of them: iterations end the solve, and nothing else does")
        for name in ("time_limit", "gap"):
            if getattr(self, name) is not None:  # a float from here on, whatever number it was
                object.__setattr__(self, name, as_positive(getattr(self, name), name))
        if not isinstance(self.certified, bool):
            raise TypeInputError("certified", repr(self.certified), "True or False")
        if not isinstance(self.progress, bool) and not callable(self.progress):
            raise TypeInputError("progress", repr(self.progress), "a function, True or False")


    @property
    def left(self) -> float | None:
        """The seconds that are left, > 0; None without a time limit."""
        if self.time_limit is None:
            return None
        return max(self.time_limit - (time.perf_counter() - self.begin), 1e-9)


class Watch:
    """The clock, the bar and the checks of the gap of one solve. A context manager, within which
    `out_of_time` knows the time limit."""

    def __init__(self, control: Control, p: Problem, tol: float) -> None:
        self.control, self.p, self.tol = control, p, tol
        self.bar = Bar(tol) if control.progress is True else None
        self.gap: CertifiedGap | None = None  # the last one that was computed
        self.proved_at: Array | None = None  # the g of that gap
        self.plan: PlanOfGap | None = None  # the plan with which that gap was proved, if known
        self.last_check, self.check_took = -math.inf, 0.0  # seconds: when, and how long
        self.enough = math.inf  # the error at which to look at the gap again
        self.smallest, self.waited = math.inf, 0  # the smallest error; iterations since then
        self.best: tuple[Array, Array] | None = None  # (f, g) of the smallest error
        self.token: Token[float]  # brings back the time limit of an enclosing solve

    def __enter__(self) -> Watch:
        limit = self.control.time_limit
        self.token = _deadline.set(math.inf if limit is None else self.control.begin + limit)
        return self

    def __exit__(self, *_: object) -> None:
        _deadline.reset(self.token)
        if self.bar is not None:
            self.bar.close()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.control.begin

    def tell(self, iteration: int, error: float) -> None:
        """Report to the bar, or to the function that was given."""
        if self.bar is not None:
            self.bar(iteration, error, self.elapsed)
        elif callable(self.control.progress):
            self.control.progress(iteration, error, self.elapsed)

    def reason(self, error: float, f: Array, g: Array) -> StoppedBy | None:
        """Why to stop at this iterate: the gap, the time limit or rounding; None to go on."""
        if self._gap_reached(error, g):
            return StoppedBy.GAP
        if out_of_time():
            return StoppedBy.TIME_LIMIT
        self.waited += 1
        if error < self.smallest or error == math.inf:
            self.waited, self.smallest, self.best = 0, min(error, self.smallest), (f, g)
        at_floor = self.waited >= PATIENCE and self._at_floor(f, g)
        return StoppedBy.ROUNDING if at_floor else None

    def end(self, f: Array, g: Array) -> StoppedBy:
        """Why a method ended of its own accord: rounding allows no smaller error, or it stalled."""
        return StoppedBy.ROUNDING if self._at_floor(f, g) else StoppedBy.STALL

    def _at_floor(self, f: Array, g: Array) -> bool:
        """Whether the smallest error is above tol, and rounding explains it. (What to do at an
        error within tol, with a light atom that is still off, is decided by `Finish`.)"""
        return self.tol < self.smallest <= rounding_floor(self.p, f, g)

    def _gap_reached(self, error: float, g: Array) -> bool:
        """Whether the gap is as small as was asked for.

        The gap falls as the power `order` of the marginal error. So it is not computed before that
        power of the error is as small as the gap that was asked for. From then on it is computed
        when the error is as small as the last gap suggests that it must be (`enough`). Where the
        order is 1 it is computed at other errors too, so seldom that this takes at most GAP_SHARE
        of the time."""
        allowed, now, order = self.control.gap, self.elapsed, self.p.gap_order
        if allowed is None or error > allowed ** (1 / order):
            return False
        seldom = order == 1 and GAP_SHARE * (now - self.last_check) >= self.check_took
        if error > self.enough and not seldom:
            return False
        self.certificate(g)
        self.last_check, self.check_took = self.elapsed, self.elapsed - now
        if self.gap is not None and not self.proved:
            self.enough = SHORT_OF * error * (allowed / self.gap.relative) ** (1 / order)
        return self.proved

    def certificate(self, g: Array) -> CertifiedGap | None:
        """The gap at g if one was asked for, else None."""
        wanted = self.control.certified or self.control.gap is not None
        if wanted and self.proved_at is not g:
            if type(self.p) is Problem:
                self.gap, self.plan = gap_and_sums(self.p, g)
            else:
                self.gap = gap_of(self.p, g)
            self.proved_at = g
        return self.gap if wanted else None

    def sums_at_proof(self, f: Array, g: Array) -> Sums | None:
        """The sums of the plan of g and its transform where the last gap, proved at g, has computed
        them; it did so in float64. None elsewhere, and where f is g, the one potential of a
        symmetric problem."""
        p = self.p
        if self.plan is None or self.proved_at is not g or f is g or p.C.dtype != "float64":
            return None
        f, rows, columns = (p.backend.asarray(array) for array in self.plan)
        return Sums(f, g, rows, columns)

    @property
    def proved(self) -> bool:
        """Whether the last gap that was computed is as small as was asked for."""
        return (self.gap is not None and self.control.gap is not None
                and self.gap.relative <= self.control.gap)


class Finish:
    """Says whether an iterate has reached the tolerance, in the marginal error and the atom error.

    An iterate whose marginal error is small enough, but not its atom error, is improved by a few
    Sinkhorn iterations (sweeps). If these do not suffice, the method goes on, and the next
    examination comes some iterations later.
    """

    def __init__(self, p: Problem, tol: float) -> None:
        self.p, self.tol = p, tol
        self.found = Accuracy(math.inf, math.inf)
        self.sums: Sums | None = None  # of the plan of which `found` is the accuracy
        self.reason: StoppedBy | None = None
        self.until_next, self.pause = 0, 1  # iterations: until the next look, and after that one
        self.sweeps = SWEEPS  # of the next attempt
        self.swept_to: tuple[Array, Array] | None = None  # where the sweeps so far ended
        self.idle, self.best = 0, math.inf  # attempts without a gain; the smallest atom error

    def examined(self, f: Array, g: Array, error: float) -> tuple[Array, Array, float]:
        """(f, g, error), after sweeps if they helped; unchanged while the error that the method
        claims is above the tolerance.

        Otherwise the error is evaluated anew. `reason` becomes the tolerance if that is reached, or
        a stall after IDLE attempts that hardly lowered the atom error."""
        if not error <= self.tol:
            return f, g, error
        self.until_next -= 1
        if self.until_next > 0:
            return f, g, error
        f, g = self.look(f, g)
        if self.found.within(self.tol):
            self.reason = StoppedBy.TOLERANCE
        elif self.found.marginal_error <= self.tol:
            self._wait()
        return f, g, self.found.marginal_error

    def look(self, f: Array, g: Array) -> tuple[Array, Array]:
        """(f, g), after sweeps if these lower the atom error; `found` is their accuracy."""
        self.sums = sums(self.p, f, g)
        self.found = accuracy(self.p, f, g, self.sums)
        if f is g or self.found.within(self.tol) or not self.found.marginal_error <= self.tol:
            return f, g  # f is g: the potential of a symmetric problem, which a sweep would split
        start = (f, g) if self.swept_to is None else self.swept_to
        self.swept_to = swept(self.p, *start, atom_tolerance(self.tol), self.sweeps)
        swept_sums = sums(self.p, *self.swept_to)
        found = accuracy(self.p, *self.swept_to, swept_sums)
        if found.marginal_error <= self.tol and found.atom_error < self.found.atom_error:
            self.found, self.sums, (f, g) = found, swept_sums, self.swept_to
        return f, g

    def _wait(self) -> None:
        """Set when to examine again, and count the attempts that did not lower the atom error."""
        self.until_next, self.pause = self.pause, min(2 * self.pause, PAUSE)
        self.sweeps *= 2
        self.idle = 0 if self.found.atom_error < 0.9 * self.best else self.idle + 1
        self.best = min(self.best, self.found.atom_error)
        if self.idle >= IDLE:
            self.reason = StoppedBy.STALL


def level_outside() -> int:
    """The `stacklevel` with which a warning of the caller names the user's line: the first one
    outside refot. Several functions of refot may be in between, where the user called for a value
    or a gradient."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("refot."):
        frame, level = frame.f_back, level + 1
    return level
