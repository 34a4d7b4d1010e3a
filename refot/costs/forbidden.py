"""Forbidden pairs: entries inf of a cost matrix, between which a plan carries nothing.

A plan exists only where the allowed pairs leave it room. That each row with mass has a partner, and
each column, is looked at before any work; whether all the mass finds room (Hall's condition, for
transport Gale's) where a solve has failed, for then the reason is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array, InputError, namespace, weight_tolerance
from refot.costs.operands import Cost, DenseCost

UNITS = 1 << 30
"""Masses are handed to the search for a largest flow as multiples of 2^-30: it counts in int32."""


def forbids(C: Cost) -> bool:
    """Whether C has an entry inf."""
    return isinstance(C, DenseCost) and bool(C.matrix.max() == np.inf)


def finite_part(C: Array) -> Array:
    """C (n, m) with 0 in place of inf: for sums of P_ij C_ij where P is 0 on forbidden pairs."""
    return namespace(C).where(np.inf > C, C, 0)


def finite_range(C: DenseCost) -> tuple[float, float]:
    """The smallest and the largest cost of an allowed pair."""
    largest = float(C.matrix.max())
    if largest == np.inf:
        largest = float(namespace(C.matrix).where(C.matrix < np.inf, C.matrix, -np.inf).max())
    return float(C.matrix.min()), largest


def without_partner(C: Cost, b: Array) -> Array:
    """Whether a row has no allowed pair with a column of positive weight, (n,)."""
    allowed = C.rows(slice(None)) < np.inf
    return ~(allowed & (namespace(allowed).asarray(b) > 0)).any(axis=1)


def require_row_partners(C: Cost, b: Array) -> None:
    """Raise InputError where the transform of some row is infinite: a minimum over no column."""
    if forbids(C):
        _require(without_partner(C, b), "row", "each row with a finite cost to a column of "
                 "positive weight: leave the row out")


def with_partners(C: Cost, a: Array, b: Array) -> Cost:
    """C for a problem with weights a (n,), b (m,). Raises InputError where an atom with mass has no
    partner with mass.

    An atom of weight 0 may have none (a padded point): its potential would be infinite. Its costs
    are taken as 0, which gives it a finite one; no plan and no value sees it.
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
    """Raise InputError where a row has no partner, of weight 0 or not: the value is infinite as
    soon as mass comes there, and so is its derivative in that weight."""
    if forbids(C):
        _require(without_partner(C, b), "row", "each row with a finite cost to a column of "
                 "positive weight: without, the derivative in its weight is infinite")


def require_finite(C: Cost, why: str) -> None:
    """Raise InputError for a cost with forbidden pairs where the result would be infinite."""
    if forbids(C):
        raise InputError("C", "inf", f"finite costs: {why}")


def _require(lonely: Array, side: str, allowed: str) -> None:
    if bool(lonely.any()):
        raise InputError("C", f"{side} {int(lonely.argmax())} has no allowed pair left", allowed)


# ------------------------------------------------------------------ room for all the mass
def obstruction(C: Cost, a: Array, b: Array) -> str:
    """Why no plan avoids the forbidden pairs of C: rows of more mass than all their partners have.
    "" where none were found.

    They are the side of a smallest cut in the network of the allowed pairs, a into the rows and b
    out of the columns. The flow is in whole units, but what is reported was added up in floats: it
    is a proof, and where masses miss each other by less than the tolerance of weights none is
    claimed.
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
    """Whether a row can still be reached from the source once the flow is as large as it can be."""
    from scipy.sparse import bmat, csr_matrix  # 0.1 s to import: only where it is used
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    n, m = allowed.shape
    units = [np.rint(UNITS * (w / w.sum())).astype(np.int32)[:, None] for w in (a, b)]
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
    """`array` as NumPy's: a device's arrays know the way themselves."""
    return array.get() if hasattr(array, "get") else np.asarray(array)
