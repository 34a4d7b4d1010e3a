"""No answer is wrong without a word: uneven weights, sentinels, offsets, dtypes, all methods."""

from __future__ import annotations

import warnings

import pytest
from answers_attack import drawn, verdicts

from refot.arrays import ConvergenceWarning

IN_CI, BY_HAND = 20, 2_000
"""How many draws are judged each time, and with `pytest --slow`."""

BATCH = 100


def missed(seeds: range) -> list[str]:
    """Which answers to the problems of these seeds are outside their widened enclosures."""
    with warnings.catch_warnings():  # of the bounds, which solve as far as float64 reaches
        warnings.simplefilter("ignore", ConvergenceWarning)
        return [f"seed {seed}: {what}" for seed in seeds
                for what, verdict in verdicts(drawn(seed)) if verdict == "missed"]


def test_answers_are_right_or_say_that_they_may_not_be() -> None:
    assert missed(range(IN_CI)) == []


@pytest.mark.slow
@pytest.mark.parametrize("first", range(IN_CI, BY_HAND, BATCH))
def test_two_thousand_answers(first: int) -> None:
    assert missed(range(first, min(first + BATCH, BY_HAND))) == []
