"""Worker processes share the cores: each gets its part of them for its threads."""

from __future__ import annotations

import os

import pytest
from worker_threads import NAMES, nothing, threads

from refot.verification.runs.environment import share_of_threads
from refot.verification.runs.workers import Worker, Workers


def test_a_worker_has_its_share_and_keeps_what_the_user_has_set(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    with Workers(Worker(nothing), 2) as workers:
        found = workers.alone(threads)
    assert found == dict(zip(NAMES, ("3", "3", "7", None), strict=True))
    assert [os.environ.get(name) for name in NAMES] == [None, None, "7", None]


def test_one_process_has_all_cores_and_none_has_less_than_one(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert share_of_threads(1) == {}
    assert share_of_threads(9) == dict.fromkeys(NAMES[:3], "1")
