"""Checks of bad input: a subject should answer it with an error or a NaN, within seconds.

A finite number is a failure, with two exceptions: the documentation of the subject gives the input
a meaning (`Part.allows`), or the input has a meaning as a limit of sound input (`Fault.limit`).
Then the check passes, and its message says what the number means.

In two situations there is no result (NotOfferedError). A subject that has no answer to sound input
either is not called with bad input: other checks report that. And a `NotImplementedError` is no
refusal by the subject, since an adapter raises it before it calls the library.
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
"""Seconds for a call with bad input. A call with sound input comes before it, so that no program
has to be started and nothing compiled within this time."""

MOST_HUNG = 3
"""After this many calls with bad input that had no answer in time, all further ones have only SHORT
seconds."""

SHORT = 0.5
"""Seconds: enough for a subject that refuses an argument as soon as it looks at it."""


def refuses(trial: Trial, capability: str, fault: Fault) -> Finding:
    """Whether the subject refuses the fault.

    A call with sound input comes first. If it has no finite answer, NotOfferedError is raised.
    """
    sound = ordinary(trial, capability)
    _answered(trial, capability, sound)
    if fault.name in trial.probe.part.allows:
        return trial.mass_error(0.0, f"documented: {trial.probe.part.allows[fault.name]}")
    if trial.probe.upset and not trial.probe.part.calls:
        # a program that died of earlier bad input is started again by a sound call, made anew;
        # the library of an adapter is in this process, and has not died
        trial.probe.answer(capability, "sound", *trial.in_their_convention(capability, sound))
        trial.probe.upset = False
    known_to_hang = trial.probe.hung >= MOST_HUNG
    hurried = trial.probe.under(limited(trial.probe.part, SHORT if known_to_hang else PATIENCE))
    bad = _changed(fault.change, capability, trial.in_their_convention(capability, sound))
    try:
        with refusal_expected():
            answer = hurried.flat(capability, *bad)
    except NoAnswerError as error:
        trial.probe.upset = True
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
        trial.probe.upset = True
        # an adapter calls the library and then refot's conversions, which may be what refuses
        if trial.probe.part.calls and issubclass(error.raised or object, InputError):
            raise NotOfferedError(f"refused by refot's conversion of the answer: {error}") from None
        return trial.mass_error(0.0, f"it raises: {error}")
    if not (answer.size and np.isfinite(answer).all()):
        return trial.mass_error(0.0, "its answer is not finite" if answer.size else "it is empty")
    # a finite answer: it may still come with a warning, or be the right one of a limit
    usual = set(map(wording, trial.warnings(capability, *sound)))
    if fault.a_warning_tells and (said := _says(hurried, bad, usual)):
        return trial.mass_error(0.0, said)
    if fault.limit is not None and _agrees(trial, capability, answer, fault.limit, sound):
        return trial.mass_error(0.0, fault.meaning)
    return _failed(trial, f"bad input is not refused ({fault.noun}): a number comes back",
                   f"it answers {_excerpt(answer)}")


def _answered(trial: Trial, capability: str, sound: Arguments) -> None:
    """Raises NotOfferedError where sound input has no finite answer: other checks report that."""
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
    """How the subject reports that something is wrong although it answers; "" if it does not.

    It may give a warning whose wording is not one of those for sound input (`usual`). If it offers
    `converged`, it may also say there that it did not converge.
    """
    said = probe.warned.union(probe.warnings(*arguments))
    if telling := [line for line in said if wording(line) not in usual]:
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
    """Whether the answer is the same as the subject's own answer to the sound input that `limit`
    makes."""
    try:
        same = trial.raw(capability, *_changed(limit, capability, sound))
    except SubjectError:
        return False
    if answer.shape != same.shape:
        return False
    answer, same = (_in_one_gauge(each, capability, sound) for each in (answer, same))
    return bool((abs(answer - same) <= trial.rate * float(abs(same).max())).all())


def _in_one_gauge(answer: Array, capability: str, arguments: Arguments) -> Array:
    """A flat answer in a form that can be compared: potentials as the sums f_i + g_j, which do not
    depend on a constant added to f and subtracted from g."""
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
