"""Forbidden pairs: entries of a cost matrix that are inf. A plan has no mass on them.

A plan exists only if all the mass can be moved over allowed pairs. Before any work it is checked
that each row with mass has a partner with mass, a column of positive weight at a finite cost, and
that each column with mass has one among the rows. That is necessary, but not sufficient. The full
condition, that no set of rows has more mass than all its partners together (Gale's theorem, which
extends Hall's), takes longer to check. It is checked only after a solve has failed, to say why
(`obstruction`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array, InputError, namespace, weight_tolerance
from refot.costs.operands import Cost, DenseCost

UNITS = 1 << 30
"""How many units the whole mass has in SciPy's search for a largest flow, which counts in int32:
masses are rounded to multiples of 2^-30."""


def forbids(C: Cost) -> bool:
    """Whether C has an entry inf."""
    return isinstance(C, DenseCost) and bool(C.matrix.max() == np.inf)


def finite_part(C: Array) -> Array:
    """C (n, m) with 0 in place of inf, for sums of P_ij C_ij: where C_ij is inf, P_ij is 0, and
    their product would be NaN."""
    return namespace(C).where(np.inf > C, C, 0)


def finite_range(C: DenseCost) -> tuple[float, float]:
    """(the smallest, the largest) cost of an allowed pair."""
    largest = float(C.matrix.max())
    if largest == np.inf:
        largest = float(namespace(C.matrix).where(C.matrix < np.inf, C.matrix, -np.inf).max())
    return float(C.matrix.min()), largest


def without_partner(C: Cost, b: Array) -> Array:
    """For each row of C (n, m), whether it has no allowed pair with a column of positive weight,
    (n,). b (m,) are the weights of the columns."""
    allowed = C.rows(slice(None)) < np.inf
    return ~(allowed & (namespace(allowed).asarray(b) > 0)).any(axis=1)


def require_row_partners(C: Cost, b: Array) -> None:
    """Raise InputError if some row has no allowed pair with a column of positive weight: its
    (c,eps)-transform, a soft minimum over no column, would be infinite."""
    if forbids(C):
        _require(without_partner(C, b), "row", "each row with a finite cost to a column of "
                 "positive weight: leave the row out")


def with_partners(C: Cost, a: Array, b: Array) -> Cost:
    """C in the form that solvers need, for weights a (n,) and b (m,). Raises InputError if an atom
    with mass has no allowed partner with mass.

    An atom of weight 0, a padded point for example, may have no partner. Its potential would be
    infinite. So its costs are replaced by 0: the potential becomes finite, and no plan and no value
    changes.
    """
    if not forbids(C):
        return C
    xp = namespace(C.rows(slice(0, 1)))
    a, b = xp.asarray(a), xp.asarray(b)
    rows, columns = without_partner(C, b), without_partner(C.T, a)
    for side, lonely, weights in (("row", rows, a), ("column", columns, b)):
        _require(lonely & (weights > 0), side,
                 f"each {side} of positive weight with a finite cost to an atom of positive weight")
    if not bool(rows.any() or columns.any()):
        return C
    return DenseCost(xp.where(rows[:, None] | columns, 0, C.rows(slice(None))))


def require_all_partners(C: Cost, b: Array) -> None:
    """Raise InputError if a row has no partner, even if its weight is 0: with any mass on that row
    the value would be infinite, and so the derivative in its weight is infinite."""
    if forbids(C):
        _require(without_partner(C, on_host(b)), "row", "each row with a finite cost to a column "
                 "of positive weight: without, the derivative in its weight is infinite")


def require_finite(C: Cost, why: str) -> None:
    """Raise InputError for a cost with forbidden pairs; `why` says why the caller needs finite
    ones."""
    if forbids(C):
        raise InputError("C", "inf", f"finite costs: {why}")


def _require(lonely: Array, side: str, allowed: str) -> None:
    """Raise InputError for the first row, or column, without a partner: where `lonely` (n,) is
    True, if anywhere."""
    if bool(lonely.any()):
        raise InputError("C", f"{side} {int(lonely.argmax())} has no allowed pair left", allowed)


# ------------------------------------------------------------------ room for all the mass
def obstruction(C: Cost, a: Array, b: Array) -> str:
    """In words, why no plan avoids the forbidden pairs of C: a set of rows that have more mass than
    all their partners together. "" if no such set was found.

    The set comes from a minimum cut of the network in which a flows into the rows, then over the
    allowed pairs, and b out of the columns. That search rounds masses. But then the mass of the set
    and that of its partners are added up in floats, and the set is reported only if its mass is
    larger by more than the tolerance of weights. So a report is a proof.
    """
    if not forbids(C):
        return ""
    allowed, a, b = (on_host(part) for part in (C.rows(slice(None)) < np.inf, a, b))
    rows = _source_side(allowed, a, b)
    partners = allowed[rows].any(axis=0)
    mass, room = float(a[rows].sum()), float(b[partners].sum())
    if not mass > room + weight_tolerance(C.dtype):
        return ""
    named = np.flatnonzero(rows)
    shown = ", ".join(map(str, named[:8])) + (", ..." if len(named) > 8 else "")
    return (f"no plan avoids the forbidden pairs: rows {shown} carry a mass of {mass:.6g}, the "
            f"columns they are allowed to reach {room:.6g}")


def _source_side(allowed: Array, a: Array, b: Array) -> Array:
    """Which rows are on the source's side of a minimum cut, (n,): those that the source still
    reaches in the residual network of a largest flow."""
    from scipy.sparse import bmat, csr_matrix  # 0.1 s to import: only where it is used
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    n, m = allowed.shape
    units = [np.rint(UNITS * (w / w.sum())).astype(np.int32)[:, None] for w in (a, b)]
    # Nodes: the source, the n rows, the m columns, the sink.
    network = bmat([[None, csr_matrix(units[0].T), None, None],
                    [csr_matrix((n, 1), dtype=np.int32), None,
                     csr_matrix(allowed.astype(np.int32) * UNITS), None],
                    [None, None, csr_matrix((m, m), dtype=np.int32), csr_matrix(units[1])],
                    [csr_matrix((1, 1), dtype=np.int32), None, None, None]], format="csr")
    flow = maximum_flow(network, 0, n + m + 1).flow
    residual = network - flow
    residual.data = np.where(residual.data > 0, residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, 0, return_predecessors=False)
    rows = np.zeros(n, bool)
    rows[[node - 1 for node in reached if 1 <= node <= n]] = True
    return rows


def on_host(array: Any) -> Array:
    """`array` as a NumPy array. CuPy's arrays, which lie on a GPU, have the method `get` for
    that."""
    return array.get() if hasattr(array, "get") else np.asarray(array)
