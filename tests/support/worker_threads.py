"""What tests/verification/runs/test_workers.py asks a worker process, which must be able to import
it."""

from __future__ import annotations

import os

from refot.verification.runs.workers import Worker
from refot.verification.subjects.subject import Subject

NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def nothing() -> Subject:
    """A subject without parts."""
    return Subject("s", "")


def threads(_: Worker) -> dict[str, str | None]:
    """The variables that limit threads, in the process of this worker."""
    return {name: os.environ.get(name) for name in NAMES}
