"""Checks of bad input: an error or a NaN, within seconds, and not a number.

Who has no answer to sound input either is not asked: other checks say so. Nor is a refusal by
`NotImplementedError` counted, which adapters of libraries raise in front of the library.
What a documentation gives a meaning to (`Part.allows`), and what has one as a limit, may be
answered with a number: the check then passes, and its message says what the number stands for.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refot.arrays import Array, InputError
from refot.verification.cases.faults import FAULTS, Change, Fault
from refot.verification.subjects.capabilities import CAPABILITIES, MATRIX, Answers
from refot.verification.subjects.limits import limited, refusal_expected
from refot.verification.subjects.probe import NoAnswerError, NotOfferedError, Probe, SubjectError
from refot.verification.subjects.protocol import argument_names
from refot.verification.truth.right import sums

from .arguments import Arguments, first, ordinary, wording
from .trial import Finding, Trial, check

PATIENCE = 10.0
"""Seconds for a call with bad input; a sound one before it has started and compiled what there was
to start and to compile."""

MOST_HUNG = 3
"""After so many calls with bad input that had no answer in time, the others get the short time."""

SHORT = 0.5
"""Seconds within which what looks at its arguments has refused them."""


def refuses(trial: Trial, capability: str, fault: Fault) -> Finding:
    """Whether the subject refuses the fault; a sound call comes first, and must be answered."""
    sound = ordinary(trial, capability)
    _answered(trial, capability, sound)
    if fault.name in trial.probe.part.allows:
        return trial.mass_error(0.0, f"documented: {trial.probe.part.allows[fault.name]}")
    trial.probe.answer(capability, "sound", *trial.theirs(capability, sound))  # starts what died
    known_to_hang = trial.probe.hung >= MOST_HUNG
    hurried = Probe(limited(trial.probe.part, SHORT if known_to_hang else PATIENCE))
    theirs = _changed(fault.change, capability, trial.theirs(capability, sound))
    try:
        with refusal_expected():
            answer = hurried.flat(capability, *theirs)
    except NoAnswerError as error:
        trial.probe.hung += 1
        if known_to_hang:
            return _failed(trial, f"bad input is not refused ({fault.noun}): taken for the same as "
                           f"{MOST_HUNG} others, which had no answer within {PATIENCE:g} s",
                           f"{error}, and was not waited for any longer")
        return _failed(trial, f"bad input is not refused ({fault.noun}): no answer within "
                       f"{PATIENCE:g} s", str(error))
    except NotOfferedError:
        raise
    except SubjectError as error:
        if trial.probe.part.calls and issubclass(error.raised or object, InputError):
            raise NotOfferedError(f"refused by refot's conversion of the answer: {error}") from None
        return trial.mass_error(0.0, f"it raises: {error}")
    if not (answer.size and np.isfinite(answer).all()):
        return trial.mass_error(0.0, "its answer is not finite" if answer.size else "it is empty")
    usual = set(map(wording, trial.warnings(capability, *sound)))
    if fault.a_warning_tells and (said := _says(hurried, theirs, usual)):
        return trial.mass_error(0.0, said)
    if fault.limit is not None and _agrees(trial, capability, answer, fault.limit, sound):
        return trial.mass_error(0.0, fault.meaning)
    return _failed(trial, f"bad input is not refused ({fault.noun}): a number comes back",
                   f"it answers {_excerpt(answer)}")


def _answered(trial: Trial, capability: str, sound: Arguments) -> None:
    """Raises NotOfferedError where sound input gets no answer: once is enough to say so."""
    try:
        finite = np.isfinite(trial.raw(capability, *sound)).all()
    except SubjectError as error:
        raise NotOfferedError(f"not asked: sound input has no answer either ({error})") from None
    if not finite:
        raise NotOfferedError("not asked: sound input has no finite answer either")


def _failed(trial: Trial, cause: str, message: str) -> Finding:
    return replace(trial.mass_error(1.0, message), cause=cause)


def _changed(change: Change, capability: str, arguments: Arguments) -> Arguments:
    named = dict(zip(argument_names(capability), arguments, strict=True))
    return tuple(change(named).values())


def _says(probe: Probe, arguments: Arguments, usual: set[str]) -> str:
    """A warning in words that are not usual, or that the solve of a matrix did not converge; or "".
    """
    if telling := [line for line in probe.warned if wording(line) not in usual]:
        return f"it warns: {min(telling)}"
    if "converged" not in probe.part.capabilities or len(arguments) != len(MATRIX):
        return ""
    try:
        with refusal_expected():
            converged = probe.flag("converged", *arguments)
    except SubjectError as error:
        return f"`converged` raises: {error}"
    return "" if converged else "it says that it did not converge"


def _agrees(
    trial: Trial, capability: str, answer: Array, limit: Change, sound: Arguments
) -> bool:
    """Whether the subject answers the same where the arguments mean the same and are sound."""
    try:
        same = trial.raw(capability, *_changed(limit, capability, sound))
    except SubjectError:
        return False
    if answer.shape != same.shape:
        return False
    answer, same = (_in_one_gauge(each, capability, sound) for each in (answer, same))
    return bool((abs(answer - same) <= trial.rate * float(abs(same).max())).all())


def _in_one_gauge(answer: Array, capability: str, arguments: Arguments) -> Array:
    """An answer that came flat; of potentials f, g the sums f_i + g_j, the same in every gauge."""
    record = CAPABILITIES[capability]
    if record.answers is not Answers.PAIR:
        return answer
    rows = len(record.named(arguments)["a"])
    return sums(answer[:rows], answer[rows:])


def _excerpt(answer: Array) -> str:
    return f"{answer[0]:.6g}" + (f", ... ({answer.size} numbers)" if answer.size > 1 else "")


def _registered(capability: str, fault: Fault) -> None:
    @check(f"{capability}.refuses-{fault.name}", fault.sentence, first)
    def run(trial: Trial) -> Finding:
        return refuses(trial, capability, fault)


for _fault in FAULTS:
    for _capability in _fault.capabilities:
        _registered(_capability, _fault)
