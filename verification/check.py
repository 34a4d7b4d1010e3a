"""What a check is: one invariant, or one certified comparison, of one capability on one case."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions import (
    Convention,
    Divergence,
    PotentialForm,
    ValueKind,
    convention,
    divergence_to_refot,
    potentials_to_refot,
    value_to_refot,
)

from .cases import Case
from .intervals import Interval
from .probe import Probe
from .truth import Truth


@dataclass(frozen=True)
class Finding:
    """What was measured, where it should lie, by how much it misses, and how much it may miss.

    `expected` is None where nothing can be expected, because an answer it rests on is not a number.
    `derived` is the case on which it was measured, where that is not the case itself.
    """

    measured: float
    expected: Interval | None
    error: float
    tolerance: float
    message: str = ""
    derived: Case | None = None

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance; NaN never is."""
        return self.error <= self.tolerance


@dataclass(frozen=True)
class Trial:
    """A check's surroundings: the probe of the subject, the case, its certified truth."""

    probe: Probe
    case: Case
    truth: Truth

    # -------------------------------------------------------------- answers, in refot's convention
    @property
    def declared(self) -> Convention:
        """The convention in which the subject says it answers."""
        return convention(self.probe.part.convention)

    def value(self, capability: str, case: Case) -> float:
        """The answer to `value` (KL-inclusive) or `transport_cost` (sharp) on a case."""
        answer, kind = self.probe.number(capability, *case.matrix), self.declared.value
        if capability != "value" or kind in (None, ValueKind.KL) or not math.isfinite(answer):
            return answer
        return value_to_refot(answer, kind, **_weights(case), kl=self.truth.kl)

    def potentials(self, case: Case) -> tuple[Array, Array]:
        """The answer to `potentials`, in density form."""
        f, g = self.probe.pair("potentials", *case.matrix)
        form = self.declared.potentials
        finite = bool(np.isfinite(f[case.a > 0]).all() and np.isfinite(g[case.b > 0]).all())
        if form in (PotentialForm.NONE, PotentialForm.DENSITY) or not finite:
            return f, g
        return potentials_to_refot(f, g, form, **_weights(case), C=self.truth.C)

    def divergence(self, case: Case) -> float:
        """The answer to `divergence`, as S of B-9."""
        answer, declared = self.probe.number("divergence", *case.clouds), self.declared
        if declared.value is None or declared.divergence is Divergence.NONE:
            return answer
        if not math.isfinite(answer):
            return answer
        xx, yy = self.truth.selves
        return divergence_to_refot(answer, declared.divergence, declared.value, **_weights(case),
                                   kl=(self.truth.kl, xx.kl, yy.kl))

    # -------------------------------------------------------------- tolerances
    @property
    def rate(self) -> float:
        """The relative tolerance: the subject's own, else 1e-6 (float64) or 1e-4 (float32).

        1e-6 is what a solve that stopped at a marginal error of 1e-9 still attains where one step
        of Sinkhorn's algorithm removes a thousandth of the error; 1e-4 the same for 1e-7.
        """
        stated = self.probe.part.tolerance
        usual = 1e-4 if self.case.single else 1e-6
        return usual if stated is None else max(stated, usual if self.case.single else 0.0)

    @property
    def rounding(self) -> float:
        """64 units of rounding of the largest quantity that a value is a sum of."""
        unit = float(np.finfo(self.case.C.dtype).eps) / 2
        return 64 * unit * (float(abs(self.case.C).max()) + self.case.eps)

    def value_within(self, measured: float, expected: Interval, message: str = "") -> Finding:
        """A value in cost units against its interval: rate * (max C - min C) + rounding."""
        tolerance = self.rate * self.case.spread + self.rounding
        return Finding(measured, expected, expected.distance(measured), tolerance, message)

    def value_equals(self, measured: float, expected: float, message: str = "") -> Finding:
        """Two values in cost units that should agree."""
        if not math.isfinite(expected):
            return Finding(measured, None, math.nan, 0.0, f"{message} ({expected})".strip())
        return self.value_within(measured, Interval(expected, expected), message)

    def array_equals(self, measured: Array, expected: Array, message: str = "") -> Finding:
        """The largest difference of two arrays in cost units, at the entry where it is found."""
        tolerance = self.rate * self.case.spread + self.rounding
        return self._worst(measured, expected, tolerance, message)

    def mass_error(self, error: float, message: str = "", factor: float = 1.0) -> Finding:
        """An L1 error of mass, which should be 0: tolerance factor * rate."""
        return Finding(error, Interval(0.0, 0.0), error, factor * self.rate, message)

    def weights_equal(self, measured: Array, expected: Array, message: str = "") -> Finding:
        """The largest difference of two vectors of mass."""
        return self._worst(measured, expected, self.rate, message)

    def slopes_equal(self, measured: Array, expected: Array, condition: float) -> Finding:
        """Gradients: the largest difference, in units of rate times the largest entry.

        `condition` >= 1 says by how much a small error of the potentials grows in the gradient.
        """
        scale = float(abs(expected).max()) * max(1.0, condition)
        return self._worst(measured, expected, self.rate * scale + self.rounding, "")

    def _worst(self, measured: Array, expected: Array, tolerance: float, message: str) -> Finding:
        difference = abs(measured - expected)
        broken = ~(np.isfinite(measured) & np.isfinite(expected))
        k = np.unravel_index(int(np.argmax(np.where(broken, math.inf, difference))), measured.shape)
        at = ", ".join(str(int(i)) for i in k)
        right, text = float(expected[k]), f"{message} (largest at [{at}])".strip()
        interval = Interval(right, right) if math.isfinite(right) else None
        return Finding(float(measured[k]), interval, float(difference[k]), tolerance, text)


def _weights(case: Case) -> dict[str, Any]:
    """a, b, eps of a case, in float64, normalised: what a conversion needs."""
    a, b = (weights.astype(np.float64) for weights in (case.a, case.b))
    return {"a": a / a.sum(), "b": b / b.sum(), "eps": case.eps}


@dataclass(frozen=True)
class Check:
    """A named check; `id` is "capability.what", and the sentence says what it means."""

    id: str
    sentence: str
    run: Callable[[Trial], Finding]
    applies: Callable[[Case], bool]

    @property
    def capability(self) -> str:
        """The capability that it checks."""
        return self.id.partition(".")[0]


CHECKS: dict[str, Check] = {}
"""Every check by id, in the order of definition."""


def anywhere(case: Case) -> bool:
    """For checks that make sense on every case."""
    return True


def check(
    id: str, sentence: str, applies: Callable[[Case], bool] = anywhere
) -> Callable[[Callable[[Trial], Finding]], Callable[[Trial], Finding]]:
    """Register the decorated function as the check `id`."""

    def register(run: Callable[[Trial], Finding]) -> Callable[[Trial], Finding]:
        assert id not in CHECKS, id
        CHECKS[id] = Check(id, sentence, run, applies)
        return run

    return register
