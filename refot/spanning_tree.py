"""How far a plan that is nearly feasible is from a feasible one, along allowed pairs only.

`plans.round_to_marginals` adds missing mass as a product e h', which may use forbidden pairs. Here
the plan P becomes R = P + T instead, where T is not 0 only on a tree: a set of entries of P that
connects all rows and columns with mass (the atoms) without a circle. The tree is that of the
largest entries.

The residuals a - P1 and b - P'1 determine T, from the leaves to the root: the entry between an atom
and its parent must carry the residuals of all atoms below it. Its size is at most S, the sum of the
sizes of those residuals. Where S <= P on the tree, R is a plan with the exact marginals, and for
potentials (f, g) of P
    J(R) - (a.f + b.g) = eps sum R log(R / P) <= eps (sum T + sum S^2 / P),
with both sums over the tree, and sum T = 1 - sum P. docs/certificates.md has the proof.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array

SLACK = 1 + 2.0**-20
"""Sums of fewer than 2^32 terms >= 0 are multiplied by this, which is more than they may be
rounded by, so that they are upper bounds."""


class TreeChange(NamedTuple):
    """Upper bounds: `moved` of sum |T|, `chi_squared` of sum T^2 / P.

    Both are inf if no tree was found on which P + T is sure to be a plan.
    """

    moved: float
    chi_squared: float


NOT_FOUND = TreeChange(np.inf, np.inf)


def tree_change(P: Array, row_residuals: Array, column_residuals: Array) -> TreeChange:
    """Bounds of a change T that makes both marginals of P exact.

    P (n, m) holds lower bounds of the entries; the residuals (n,) and (m,) are upper bounds of
    |a - P1| and |b - P'1|. NumPy arrays.
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
    """P + T, (n, m), with marginals a and b up to rounding. NumPy arrays.

    None if no tree connects all atoms with mass, or if an entry would become negative.
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
        missing[parent] -= missing[node]  # what the entry adds to the node, it adds to the parent
    changed[rows[tree.rows], columns[tree.columns]] += missing[tree.nodes]
    return changed if bool((changed >= 0).all()) else None


class Tree(NamedTuple):
    """The nodes without the root, each after its parent: row i is node i, column j is node n + j.

    `rows` and `columns` say which entry of P joins each node to its parent.
    """

    nodes: Array
    parents: Array
    rows: Array
    columns: Array


def spanning_tree(P: Array) -> Tree | None:
    """The tree of the largest entries of P (n, m). None if its entries > 0 are not connected."""
    from scipy.sparse import csr_matrix  # 0.1 s to import: only where it is used
    from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

    n, m = P.shape
    i, j = np.nonzero(P > 0)
    if len(i) == 0:
        return None
    length = 1 + np.log(P.max()) - np.log(P[i, j])  # >= 1, and shortest where P is largest
    edges = minimum_spanning_tree(csr_matrix((length, (i, n + j)), shape=(n + m, n + m)))
    root = int(np.append(P.sum(axis=1), P.sum(axis=0)).argmax())  # light atoms are leaves
    order, above = breadth_first_order(edges, root, directed=False)
    if len(order) < n + m:
        return None
    nodes = order[1:]
    parents = above[nodes]
    return Tree(nodes, parents, np.minimum(nodes, parents), np.maximum(nodes, parents) - n)


def excess_along_tree(
    C: Array, eps: float, rows: tuple[Array, Array], columns: tuple[Array, Array], mass: float
) -> float:
    """An upper bound of J(R) - (a.f + b.g), for a feasible plan R on allowed pairs.

    It is inf if the allowed pairs fall into separate parts, or if the potentials are too far from
    optimal. C (n, m) is in float64, and all atoms have mass. `rows` is the pair of F (n,) and of
    upper bounds of the row residuals of P_ij = exp((F_i + G_j - C_ij) / eps); `columns` the same
    for G (m,). `mass` >= |1 - sum P|.
    """
    (F, row_residuals), (G, column_residuals) = rows, columns
    largest = float(abs(F).max() + abs(G).max())
    exponents = (F[:, None] + G - C) / eps
    # F + G rounds once to a share of itself, the exponent 4 times; beyond 750 an entry is 0
    share = 2 * float(np.expm1(2.0**-53 * (largest / eps + 8 * 750)))
    if not share < 0.25:
        return math.inf
    change = tree_change(np.exp(exponents) * (1 - share), row_residuals, column_residuals)
    return eps * (change.chi_squared + mass) * SLACK
