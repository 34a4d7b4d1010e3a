"""Correcting a nearly feasible plan to a feasible one, with changes on allowed pairs only; and
bounds of how much that changes the primal value J(P) = <C,P> + eps KL(P | a(x)b).

`plans.round_to_marginals` adds missing mass as the product of the two missing marginals, which may
use forbidden pairs. Here the plan P (n, m) becomes R = P + T instead. T is 0 except on a tree: a
set of entries of P that, as edges between rows and columns, connects all rows and columns with mass
(the atoms) without a cycle. Of all such trees it is the one that consists of the largest entries.

The residuals a - P1 and b - P'1 determine T, from the leaves of the tree to its root: the entry
between an atom and its parent must make up for the residuals of all atoms below it. So |T| is at
most S there, the sum of the absolute residuals of those atoms. If S <= P on the tree, R is a plan
with the exact marginals, and for the potentials (f, g) of P
    J(R) - (a.f + b.g) = eps sum R log(R / P) <= eps (sum T + sum S^2 / P),
with both sums over the tree, and sum T = 1 - sum P. docs/certificates.md has the proof.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array

SLACK = 1 + 2.0**-20
"""A factor for sums of fewer than 2^32 terms >= 0. It is larger than their relative rounding error,
so that the product is an upper bound of the exact sum."""


class TreeChange(NamedTuple):
    """Two upper bounds for the change T: `moved` is one of sum |T|, `chi_squared` one of
    sum T^2 / P.

    Both are inf if there is no tree, or if P + T might be negative on it.
    """

    moved: float
    chi_squared: float


NOT_FOUND = TreeChange(np.inf, np.inf)


def tree_change(P: Array, row_residuals: Array, column_residuals: Array) -> TreeChange:
    """Bounds of the change T that makes both marginals of a plan exact.

    P (n, m) holds lower bounds of the entries of the plan; the residuals (n,) and (m,) are upper
    bounds of |a - P1| and |b - P'1|. All are NumPy arrays.
    """
    tree = spanning_tree(P)
    if tree is None:
        return NOT_FOUND
    carried = np.append(row_residuals, column_residuals)
    for node, parent in zip(tree.nodes[::-1], tree.parents[::-1], strict=True):
        carried[parent] += carried[node]
    S, entries = SLACK * carried[tree.nodes], P[tree.rows, tree.columns]
    if not (entries >= S).all():
        return NOT_FOUND
    return TreeChange(float(S.sum()) * SLACK, float((S * (S / entries)).sum()) * SLACK)


def changed_along_tree(P: Array, a: Array, b: Array) -> Array | None:
    """P + T, (n, m), with the marginals a (n,) and b (m,) up to rounding. All are NumPy arrays.

    None if no tree connects all atoms, or if an entry would become negative.
    """
    rows, columns = np.flatnonzero(a > 0), np.flatnonzero(b > 0)
    changed = np.zeros_like(P)
    inner = np.ix_(rows, columns)
    changed[inner] = P[inner]
    tree = spanning_tree(changed[inner])
    if tree is None:
        return None
    missing = np.append(a[rows] - changed[rows].sum(axis=1),
                        b[columns] - changed[:, columns].sum(axis=0))
    for node, parent in zip(tree.nodes[::-1], tree.parents[::-1], strict=True):
        missing[parent] -= missing[node]  # the entry adds this mass to the parent too
    changed[rows[tree.rows], columns[tree.columns]] += missing[tree.nodes]
    return changed if bool((changed >= 0).all()) else None


class Tree(NamedTuple):
    """The nodes of a tree except its root, in an order in which each comes after its parent.

    Row i of P is node i, column j is node n + j. The entry of P that joins nodes[k] to parents[k]
    is (rows[k], columns[k]). All arrays are (n + m - 1,).
    """

    nodes: Array
    parents: Array
    rows: Array
    columns: Array


def spanning_tree(P: Array) -> Tree | None:
    """The spanning tree of the largest entries of P (n, m). None if the entries > 0 do not connect
    all rows and columns."""
    from scipy.sparse import csr_matrix  # 0.1 s to import: only where it is used
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    n, m = P.shape
    i, j = np.nonzero(P > 0)
    if len(i) == 0:
        return None
    length = 1 + np.log(P.max()) - np.log(P[i, j])  # >= 1, and shortest where P is largest
    edges = minimum_spanning_tree(csr_matrix((length, (i, n + j)), shape=(n + m, n + m)))
    # The root is the heaviest atom: so light atoms tend to be leaves, whose entries must make up
    # for their own residual only.
    root = int(np.append(P.sum(axis=1), P.sum(axis=0)).argmax())
    order, above = breadth_first_order(edges, root, directed=False)
    if len(order) < n + m:
        return None
    nodes = order[1:]
    parents = above[nodes]
    return Tree(nodes, parents, np.minimum(nodes, parents), np.maximum(nodes, parents) - n)


def excess_along_tree(
    C: Array, eps: float, rows: tuple[Array, Array], columns: tuple[Array, Array], mass: float
) -> float:
    """An upper bound, in cost units, of J(R) - (a.f + b.g) for the plan R = P + T, which is
    feasible and on allowed pairs.

    It is inf if the allowed pairs fall into separate parts, or if the potentials are too far from
    optimal. C (n, m) is in float64, and all weights are > 0. `rows` is the pair (F (n,), upper
    bounds (n,) of |a - P1|) for P_ij = exp((F_i + G_j - C_ij) / eps); `columns` is the same with
    G (m,) and |b - P'1|. `mass` is at least |1 - sum P|.
    """
    (F, row_residuals), (G, column_residuals) = rows, columns
    largest = float(abs(F).max() + abs(G).max())
    exponents = (F[:, None] + G - C) / eps
    # `share` bounds the relative error of an entry. F + G is rounded once, relative to its own
    # size, and the exponent four times. An entry whose exponent is below -750 is 0 anyhow.
    share = 2 * float(np.expm1(2.0**-53 * (largest / eps + 8 * 750)))
    if not share < 0.25:
        return math.inf
    change = tree_change(np.exp(exponents) * (1 - share), row_residuals, column_residuals)
    return eps * (change.chi_squared + mass) * SLACK
