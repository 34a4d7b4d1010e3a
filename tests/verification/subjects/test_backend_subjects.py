"""A backend is a subject: refot itself on it, found by a registered name or as an object."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refot import backend_contract as contract
from refot.backends.numpy.backend import NumpyBackend
from refot.verification.subjects.loading import TargetError, as_subject, load


class Mine(NumpyBackend):
    """A third party's backend, whose value is wrong on purpose."""

    name = "mine"

    def softmin(self, C: Any, h: Any, eps: float, shift: Any = None) -> Any:
        return 1 + super().softmin(C, h, eps)


def offset_of(subject: Any) -> float:
    """What the subject's softmin of zeros lacks of the right one."""
    C, h = np.zeros((2, 2)), np.zeros(2)
    return float(subject.parts[0].capabilities["softmin"](C, h, 1.0)[0] + np.log(2))


@pytest.mark.parametrize("found", [Mine, Mine()], ids=["class", "object"])
def test_a_backend_as_an_object_is_refot_on_it(found: Any) -> None:
    """Its own softmin, which takes operands, is not taken for the capability of that name."""
    subject = as_subject(found, "mine.py:Mine")
    assert subject.name == "refot on mine"
    assert offset_of(subject) == pytest.approx(1)


def test_a_registered_backend_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("theirs", f"{__name__}:Mine", contract.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Mine)
    monkeypatch.setattr(contract, "entry_points",
                        lambda group: [point] if group == contract.ENTRY_POINTS else [])
    contract._load.cache_clear()
    assert offset_of(load("theirs")) == pytest.approx(1)
    with pytest.raises(TargetError, match="theirs says itself what its parts offer"):
        load("theirs", "value")
    with pytest.raises(TargetError, match="theirs"):  # among what is allowed
        load("unknown")
    contract._load.cache_clear()


def test_a_file_with_a_backend_is_a_target(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from refot.backends.numpy.backend import NumpyBackend\n\n"
        "class Mine(NumpyBackend):\n    name = 'from a file'\n")
    assert load(f"{tmp_path / 'mine.py'}:Mine").name == "refot on from a file"
