"""The innermost loops of the Numba kernels are vector code of full width, without calls."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvmlite
import numba
import numpy as np
import pytest

from refot.backends.numba import (
    blocks as numba_blocks,
)
from refot.backends.numba import (
    columns as numba_columns,
)
from refot.backends.numba import (
    costs as numba_costs,
)
from refot.backends.numba import (
    entries as numba_entries,
)
from refot.backends.numba import (
    forming as numba_forming,
)
from refot.backends.numba import (
    plan as numba_kernels,
)
from refot.backends.numba import (
    products as numba_products,
)
from refot.backends.numba import (
    softmin as numba_softmin,
)
from refot.backends.numba import (
    sweeps as numba_sweeps,
)
from refot.backends.numba.batches import (
    sweeps as batch_sweeps,
)
from refot.backends.numba.groups import (
    groups as numba_groups,
)
from refot.backends.numba.groups import (
    passes as numba_sorted,
)
from refot.backends.numba.groups import (
    series as numba_series,
)


def innermost_loops(dtype: Any) -> dict[str, Any]:
    """Every loop with arithmetic that runs once for each pair of points, compiled for `dtype`;
    those that always add in float64 for that alone."""
    one, h = dtype(1), np.zeros((1, numba_costs.TILE), dtype)
    t, out = np.zeros(8 * numba_costs.TILE, dtype), np.zeros((8, 1))
    x, y = np.zeros((8, 9), dtype), np.zeros((1, 9, numba_costs.TILE), dtype)
    C, dot = numba_costs.Euclidean(x, y, one, ()), numba_costs.Dot(x, y, one, (0, 1, 2))
    F, V, at = np.zeros(8, dtype), np.zeros((1, 1, 1024), dtype), numba_costs.costs_at
    M, part, sums = np.zeros((16, 64), dtype), np.zeros(64, dtype), np.zeros((1, 64))
    h_column, t_column = np.zeros(16, dtype), np.zeros((16, 64), dtype)
    kernels, columns, in_order = numba_kernels, numba_columns, numba_sorted
    groups = numba_groups.groups_of(np.zeros((64, 3), dtype), 64, True)
    thrice = np.zeros((3, 64), dtype)
    table = np.zeros((numba_series.TERMS**2, numba_series.TERMS + numba_series.CHUNK), dtype)
    blocks = numba_blocks
    calls = {
        **{numba_softmin.LOOPS[at[numba_costs.Euclidean, d]]: (
            C._replace(axes=tuple(range(d))), t, 0, 0, 0, 0, 1024, h, one, F, F, F)
           for d in (0, 1, 2, 3)},
        numba_softmin.LOOPS[at[numba_costs.Dot, 3]]: (dot, t, 0, 0, 0, 0, 1024, h, one, F, F, F),
        in_order.PRODUCT_LOOPS[at[numba_costs.Euclidean, 2]]: (
            C._replace(axes=(0, 1)), F, 0, h, one, 0, 0, 1024, V[0], t, F, out),
        numba_groups.exponents: (part, one, groups, 0, one, part, part),
        numba_groups._rest: (part, groups, 0, part),
        in_order._powers: (part, 64, one, thrice),
        in_order._weighted: (part, V[0], 0, 0, 64, thrice),
        in_order._exponentiate: (part, 64, one),
        numba_series.moments: (groups.offset, 0, 64, 8, part, part, thrice, table, table),
        numba_series.polynomial: (groups.offset, 0, 64, 8, part, table, thrice),
        numba_products._squares_from_products: (t, one, t),
        numba_products._scaled: (t, True, one),
        kernels._entries: (F, h, one, one, 0, 8, 0, 1024, t),
        kernels._product: (t, V, 0, 8, 0, 1024, out),
        kernels._row_cost: (one, h, one, one, 0, 0, 1024, t),
        kernels._weights: (C, F, h, one, 0, 8, 0, 1024, t),
        kernels._gradient_sums: (C, 0, 0, 1, 2, 3, 0, 0, 1024, t),
        columns._exponents: (M, h_column, 0, 0, t_column, part),
        columns._add_terms: (t_column, part, one, part, sums[0]),
        columns._entries: (M, part, h_column, one, 0, 0, t_column),
        columns._add_products: (t_column, np.zeros((16, 1), dtype), 0, 0, part, sums),
        blocks._first_coordinates(numba_costs.squared_difference, 2): (x, y, 0, 8, 0, 1024, t),
        blocks._next_coordinates(numba_costs.absolute_difference, 4): (x, y, 0, 0, 8, 0, 1024, t),
        blocks._next_coordinates(numba_costs.minus_product, 4): (x, y, 0, 0, 8, 0, 1024, t),
        blocks._roots: (t,),
        numba_entries._exponents: (F, h, one, 0, 8, 0, 1024, t),
        numba_entries._count: (t, 0, 0, 1024, one),
        numba_forming._copy_out: (t, one, 0, 8, 0, 1024, M),
        numba_sweeps._store: (F, h, one, one, 0, 8, 0, 1024, t, one, M),
        kernels._row_sum: (t, 0, 1024),
    }
    if dtype is np.float64:
        i = (np.uintp(0),) * 4
        calls |= {batch_sweeps._direct_row: (part, i[0], 64, 1.0, M, i[0]),
                  numba_sweeps.row_sums: (M, part, *i),
                  numba_sweeps.add_rows: (M, *i, 1.0, 1.0, 1.0, 1.0, part),
                  kernels._add_rows: (t, 8, 0, 1024, sums[0])}
    for function, arguments in calls.items():
        function.compile(tuple(map(numba.typeof, arguments)))
    return {function.py_func.__name__ + str(i): function for i, function in enumerate(calls)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_innermost_loops_are_vector_code_without_calls(dtype: Any) -> None:
    number = {np.float64: "double", np.float32: "float"}[dtype]
    wide = llvmlite.get_host_cpu_features().get("avx512f", False)
    for name, function in innermost_loops(dtype).items():
        signatures = [s for s in function.signatures
                      if ("float32" in str(s)) == (dtype is np.float32)]
        code = "\n".join(map(function.inspect_llvm, signatures))  # other tests may add some
        bits = 8 * np.dtype(dtype).itemsize
        lanes = [int(w) for pattern in (rf"f(?:add|sub|mul)[a-z ]* <(\d+) x {number}>",
                                        rf"@llvm\.(?:fmuladd|sqrt)\.v(\d+)f{bits}\(")
                 for w in re.findall(pattern, code)]
        assert lanes, f"{name}: no vector arithmetic in {number}"
        if wide:
            assert max(lanes) * np.dtype(dtype).itemsize == 64, f"{name}: {max(lanes)} lanes"
        called = re.findall(r"call[^@\n]*@\"?([\w.]+)", code)
        assert not [c for c in called if re.match(r"(llvm\.)?(exp|pow|log)", c)], name
