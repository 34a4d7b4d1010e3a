"""The sum of vector operations per pair is what the compiled loop has, and most slots are used."""

from __future__ import annotations

import re
from typing import Any

import numba
import numpy as np
import pytest

from refot.backends.numba import costs as numba_costs
from refot.backends.numba import softmin as numba_softmin
from refot.verification.bench import machine

ARITHMETIC = re.compile(r"v(?:p?add|p?sub|mul|max|p?sll|fn?m)\w+\s.*%[zy]mm")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_slots_of_a_pair_are_those_of_the_assembly(dtype: Any) -> None:
    one, block = dtype(1), np.zeros((1, 2, numba_costs.TILE), dtype)
    C = numba_costs.SquaredEuclidean(np.zeros((8, 2), dtype), block, one, (0, 1))
    loop = numba_softmin.LOOPS[numba_costs.costs_at[numba_costs.SquaredEuclidean, 2]]
    rows = np.zeros(8, dtype)
    arguments = C, block[0, 0], 0, 0, 0, 0, 1024, block[:, 0], one, rows, rows, rows
    loop.compile(tuple(map(numba.typeof, arguments)))
    (code,) = (code for types, code in loop.inspect_asm().items()
               if ("float32" in str(types)) == (dtype is np.float32))
    bodies = re.findall(r"^(\.LBB\d+_\d+):\n((?:(?!\.LBB).*\n)*?)\tj\w+\t\1$", code, re.MULTILINE)
    body = max((text for _, text in bodies), key=lambda text: len(ARITHMETIC.findall(text)))
    vectors = len(re.findall(r"vpsll[dq]\s.*%[zy]mm", body))  # one for each power of 2
    assert vectors >= 1
    assert "call" not in body
    assert len(ARITHMETIC.findall(body)) / vectors == sum(machine.SLOTS[np.dtype(dtype)].values())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_share_is_a_share(dtype: Any) -> None:
    share = machine.softmin_share(dtype, repeats=3, n=64, m=2000)
    assert share.multiply_adds > 1e8
    assert share.pairs > 1e6
    assert 0 < share.reached < 1.5
