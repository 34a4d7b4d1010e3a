"""What a check is, and what it works with.

A check tests one property of one capability on one case. It is a function of a `Trial`, through
which it calls the subject, and returns a `Finding`. `check` registers it in CHECKS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refot.arrays import Array, InputError
from refot.verification.cases.case import Case
from refot.verification.certificates.intervals import Interval
from refot.verification.subjects.probe import Probe, SubjectError
from refot.verification.truth.solution import Truth

from .translation import from_subject, to_subject

SINGLE = "computed in float32: the answers are float32 numbers, the arguments float64"
"""The diagnosis of a float64 call with a float32 answer. It is recognised by the digits of the
answer, and not by a formula as other mistakes are."""


@dataclass(frozen=True)
class Finding:
    """The result of a check: the number `measured`, the interval in which it is `expected`, the
    `error` by which it misses that, and the largest error that passes, the `tolerance`.

    `expected` is None where it would be computed from another answer of the subject, and that
    answer is not finite. `cause` is the diagnosis, if the check itself can tell. `scale` is what
    the error is relative to when right digits are counted; None stands for the size of `expected`.
    """

    measured: float
    expected: Interval | None
    error: float
    tolerance: float
    message: str = ""
    cause: str = ""
    scale: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Call:
    """One call that a check made, with arguments and answer in refot's convention.

    `single` says whether the answer consists of float32 numbers.
    """

    capability: str
    arguments: tuple[Any, ...]
    answer: Any
    single: bool


@dataclass(frozen=True)
class Trial:
    """What a check works with: the probe, which calls the subject, the case, and its certified
    solution.

    A check calls the subject through the methods of this class. They translate arguments and answer
    between refot's convention and the declared one, and keep each call for the diagnosis.
    """

    probe: Probe
    case: Case
    truth: Truth
    calls: list[Call] = field(default_factory=list)

    # -------------------------------------------------------------- answers, in refot's convention
    @property
    def declared(self) -> str:
        """The name of the convention in which the subject says it answers."""
        return self.probe.part.convention

    def in_their_convention(
        self, capability: str, arguments: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """refot's arguments, translated to the convention that the subject declares."""
        return to_subject(self.declared, capability, arguments)

    def number(self, capability: str, *arguments: Any) -> float:
        """The subject's answer to this call, a number, in refot's convention."""
        given = self.probe.number(capability, *self.in_their_convention(capability, arguments))
        answer: float = from_subject(self.declared, capability, given, arguments)
        self._keep(capability, arguments, answer)
        return answer

    def array(self, capability: str, shape: tuple[int, ...], *arguments: Any) -> Array:
        """The subject's answer to this call, an array, in refot's convention. Raises SubjectError
        if it has another shape than `shape`."""
        translated = self.in_their_convention(capability, arguments)
        given = self.probe.array(capability, shape, *translated)
        answer: Array = from_subject(self.declared, capability, given, arguments)
        self._keep(capability, arguments, answer)
        return answer

    def pair(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """Two potentials (f, g), of which the plan is a_i b_j exp((f_i + g_j - C_ij) / eps)."""
        given = self.probe.pair(capability, *self.in_their_convention(capability, arguments))
        answer: tuple[Array, Array] = from_subject(self.declared, capability, given, arguments)
        self._keep(capability, arguments, answer)
        return answer

    def offers(self, capability: str) -> bool:
        """Whether the part under test offers the capability."""
        return capability in self.probe.part.capabilities

    def flag(self, capability: str, *arguments: Any) -> bool:
        """The subject's answer to this call, which is yes or no."""
        return self.probe.flag(capability, *self.in_their_convention(capability, arguments))

    def twice(self, capability: str, *arguments: Any) -> tuple[Array, Array]:
        """The answers to the same call made twice, each as one flat array, not converted."""
        return self.probe.twice(capability, *self.in_their_convention(capability, arguments))

    def raw(self, capability: str, *arguments: Any) -> Array:
        """The answer as one flat array, whatever its shape, not converted and not kept.

        Raises SubjectError if it has no numbers.
        """
        answer = self.probe.flat(capability, *self.in_their_convention(capability, arguments))
        if not answer.size:
            raise SubjectError("returned no numbers at all")
        return answer

    def written(self, capability: str, *arguments: Any) -> tuple[str, ...]:
        """The names of the arguments into which the subject writes when it is given these."""
        return self.probe.written(capability, *self.in_their_convention(capability, arguments))

    def warnings(self, capability: str, *arguments: Any) -> list[str]:
        """What the subject warned of when it was given these arguments."""
        return self.probe.warnings(*self.in_their_convention(capability, arguments))

    def plan(self) -> Array:
        """The answer to `plan` on the case."""
        return self.array("plan", self.case.C.shape, *self.case.matrix)

    def plan_of_potentials(self) -> Array:
        """a_i b_j exp((f_i + g_j - C_ij) / eps) of the answer to `potentials` on the case."""
        f, g = self.pair("potentials", *self.case.matrix)
        mass = np.outer(self.truth.a, self.truth.b)
        # A number that overflows becomes infinite, and the check fails.
        with np.errstate(all="ignore"):
            density = np.exp((f[:, None] + g - self.truth.C) / self.case.eps)
            return np.where(mass > 0, mass * density, 0)

    def _keep(self, capability: str, arguments: tuple[Any, ...], answer: Any) -> None:
        single = self.probe.single(capability, *self.in_their_convention(capability, arguments))
        self.calls.append(Call(capability, arguments, answer, single))

    # -------------------------------------------------------------- tolerances
    @property
    def rate(self) -> float:
        """The relative tolerance that the subject states, else 1e-6; in float32 at least 1e-4.

        Solvers usually stop at a marginal error of 1e-9. Where convergence is slow, and a step of
        Sinkhorn's algorithm removes only a thousandth of the error, the answer is then right to
        1e-6. In float32 they stop at 1e-7, and the answer is right to 1e-4.
        """
        stated = self.probe.part.tolerance
        usual = 1e-4 if self.case.single else 1e-6
        return usual if stated is None else max(stated, usual if self.case.single else 0.0)

    @property
    def rounding(self) -> float:
        """64 roundings of max |C| + eps, which are the largest terms in the sum that gives a value.
        A rounding is relative: half the distance from 1 to the next number in the dtype of C."""
        unit = float(np.finfo(self.case.C.dtype).eps) / 2
        return 64 * unit * (float(abs(self.case.C).max()) + self.case.eps)

    def value_within(self, measured: float, expected: Interval, message: str = "") -> Finding:
        """A value in cost units, compared with the interval in which it should lie.

        The tolerance is rate * (max C - min C) + rounding; for a constant cost, max |C| stands for
        max C - min C (`Case.unit`).
        """
        tolerance = self.rate * self.case.unit + self.rounding
        scale = self.case.unit if expected.contains(0.0) else None
        return Finding(measured, expected, expected.distance(measured), tolerance, message,
                       scale=scale)

    def value_equals(self, measured: float, expected: float, message: str = "") -> Finding:
        """Two values in cost units that should agree."""
        if not math.isfinite(expected):
            return Finding(measured, None, math.nan, 0.0, f"{message} ({expected})".strip())
        return self.value_within(measured, Interval(expected, expected), message)

    def array_equals(self, measured: Array, expected: Array, message: str = "") -> Finding:
        """Two arrays in cost units that should agree, at the entry where they differ most."""
        tolerance = self.rate * self.case.unit + self.rounding
        found = self.worst(measured, expected, tolerance, message)
        return replace(found, scale=max(self.case.unit, float(abs(expected).max())))

    def mass_error(self, error: float, message: str = "", factor: float = 1.0) -> Finding:
        """An L1 error of mass, which should be 0, with the tolerance factor * rate."""
        return Finding(error, Interval(0.0, 0.0), error, factor * self.rate, message)

    def marginals_right(self, P: Array) -> Finding:
        """The L1 errors of both marginals of a plan, which should be 0."""
        rows = float(abs(P.sum(axis=1) - self.truth.a).sum())
        columns = float(abs(P.sum(axis=0) - self.truth.b).sum())
        return self.mass_error(rows + columns,
                               f"L1 errors: rows {rows:.2g}, columns {columns:.2g}")

    def weights_equal(self, measured: Array, expected: Array, message: str = "") -> Finding:
        """Two vectors of mass that should agree, at the entry where they differ most."""
        return replace(self.worst(measured, expected, self.rate, message), scale=1.0)

    def slopes_equal(self, measured: Array, expected: Array, condition: float) -> Finding:
        """Two gradients that should agree: tolerance rate * largest entry * condition + rounding.

        `condition` is the factor by which the gradient multiplies a small error of the potentials;
        below 1 it counts as 1.
        """
        scale = float(abs(expected).max()) * max(1.0, condition)
        found = self.worst(measured, expected, self.rate * scale + self.rounding, "")
        return replace(found, scale=scale)

    def worst(self, measured: Array, expected: Array, tolerance: float, message: str) -> Finding:
        """The finding at the entry where two arrays differ most; an entry that is not finite comes
        before all others."""
        difference = abs(measured - expected)
        broken = ~(np.isfinite(measured) & np.isfinite(expected))
        k = np.unravel_index(int(np.argmax(np.where(broken, math.inf, difference))), measured.shape)
        at = ", ".join(str(int(i)) for i in k)
        right, text = float(expected[k]), f"{message} (largest at [{at}])".strip()
        interval = Interval(right, right) if math.isfinite(right) else None
        return Finding(float(measured[k]), interval, float(difference[k]), tolerance, text)


@dataclass(frozen=True)
class Check:
    """A named check: `id` is "capability.what", and `sentence` says what it asserts."""

    id: str
    sentence: str
    run: Callable[[Trial], Finding]
    applies: Callable[[Case], bool]

    @property
    def capability(self) -> str:
        """The capability that it checks."""
        return self.id.partition(".")[0]


CHECKS: dict[str, Check] = {}
"""Every check by id, in the order in which they were registered."""


def anywhere(case: Case) -> bool:
    """True: for checks that apply to every case."""
    return True


def check(
    id: str, sentence: str, applies: Callable[[Case], bool] = anywhere
) -> Callable[[Callable[[Trial], Finding]], Callable[[Trial], Finding]]:
    """Register the decorated function as the check `id`. Raises InputError for an id in use."""

    def register(run: Callable[[Trial], Finding]) -> Callable[[Trial], Finding]:
        if id in CHECKS:
            raise InputError("id", f"{id!r}, which another check has", "an id of its own")
        CHECKS[id] = Check(id, sentence, run, applies)
        return run

    return register
