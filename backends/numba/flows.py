"""The cheapest flow over a list of pairs, by the network simplex method.

Rows are sources and columns are sinks; a pair (i, j) is an arc that may carry any amount of mass at
its cost. One more node, the root, has an artificial arc to or from every other node, so that there
is a flow even if the pairs alone allow none. The basis is a spanning tree of arcs. It determines
the flow, which is 0 on all other arcs, and the potentials: the cost of a tree arc is the difference
of the potentials at its ends. A pivot adds an arc that costs less than the path through the tree
between its ends. The arc closes a cycle; flow is pushed around it until an arc of the cycle has
none left, and this arc leaves the tree.

Masses are whole numbers, so that flows are exact. Two rules keep the method from repeating itself
(kovacs2015minimum in docs/references.bib): in the first tree no empty arc points away from the
root; and of several arcs that become empty together, the last one along the cycle leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array

from .compile import elementwise, kernel

NONE = -1


class Tree(NamedTuple):
    """The spanning tree, as arrays with one entry for each node. The root is the last node. An
    entry NONE stands for no node or no arc."""

    parent: Array
    arc: Array
    """The arc that joins a node to its parent."""

    up: Array
    """Whether that arc points to the parent."""

    child: Array
    """The first child; `after` of it is the second, and so on."""

    after: Array
    """The next child of the same parent."""

    before: Array
    """The previous child of the same parent."""

    depth: Array
    potential: Array
    """The cost of moving a unit of mass from the root to the node: an arc of the tree costs
    potential[head] - potential[tail]."""


class Arcs(NamedTuple):
    """The arcs from node `tail` to node `head`, (k,) each. The artificial arcs come first, one for
    each node but the root."""

    tail: Array
    head: Array
    cost: Array
    flow: Array


def first_tree(supply: Array, demand: Array) -> tuple[Tree, Arcs]:
    """The first tree, where all mass flows through the root, and the artificial arcs. Their costs,
    and the potentials, are still 0: they are set when a solve begins."""
    n, nodes = len(supply), len(supply) + len(demand)
    node, root = np.arange(nodes), nodes
    source = node < n
    arcs = Arcs(np.where(source, node, root), np.where(source, root, node), np.zeros(nodes),
                np.concatenate([supply, demand]))
    parent, arc, child, after, before = np.full((5, nodes + 1), NONE)
    tree = Tree(parent, arc, np.append(source, False), child, after, before,
                np.ones(nodes + 1, np.int64), np.zeros(nodes + 1))
    tree.parent[:-1], tree.arc[:-1], tree.depth[root] = root, node, 0
    tree.child[root], tree.after[:nodes - 1], tree.before[1:nodes] = 0, node[1:], node[:-1]
    return tree, arcs


# ------------------------------------------------------------------ the tree
@elementwise
def _take_off(tree: Tree, node: int) -> None:
    """Remove a node from the list of its parent's children."""
    before, after = tree.before[node], tree.after[node]
    if before == NONE:
        tree.child[tree.parent[node]] = after
    else:
        tree.after[before] = after
    if after != NONE:
        tree.before[after] = before


@elementwise
def _hang(tree: Tree, node: int, parent: int, arc: int, up: bool) -> None:
    """Make a node the first child of `parent`, joined to it by `arc`, which points up if `up`."""
    tree.parent[node], tree.arc[node], tree.up[node] = parent, arc, up
    after = tree.child[parent]
    tree.before[node], tree.after[node], tree.child[parent] = NONE, after, node
    if after != NONE:
        tree.before[after] = node


@elementwise
def _move(tree: Tree, node: int, top: int, parent: int, arc: int, up: bool) -> None:
    """Cut off the subtree of `top`, and attach it to `parent` by its `node` and `arc`. On the path
    from `node` to `top`, each parent becomes the child of its former child."""
    while True:
        above, above_arc, above_up = tree.parent[node], tree.arc[node], tree.up[node]
        _take_off(tree, node)
        _hang(tree, node, parent, arc, up)
        if node == top:
            return
        parent, arc, up = node, above_arc, not above_up
        node = above


@elementwise
def _next(tree: Tree, node: int, top: int) -> int:
    """The node after `node` in a traversal of the subtree of `top`, parents before their children;
    NONE after the last one."""
    below: int = tree.child[node]
    if below != NONE:
        return below
    while node != top and tree.after[node] == NONE:
        node = tree.parent[node]
    beside: int = tree.after[node]
    return NONE if node == top else beside


@elementwise
def _shift(tree: Tree, top: int, change: float) -> None:
    """Add `change` to the potentials in the subtree of `top`, and compute its depths anew."""
    node = top
    while node != NONE:
        tree.potential[node] += change
        tree.depth[node] = tree.depth[tree.parent[node]] + 1
        node = _next(tree, node, top)


@elementwise
def _renew(tree: Tree, arcs: Arcs) -> None:
    """Compute all potentials anew from the costs of the tree, because each `_shift` adds a rounding
    to them."""
    root = tree.parent.size - 1
    node = _next(tree, root, root)
    while node != NONE:
        cost = arcs.cost[tree.arc[node]]
        tree.potential[node] = tree.potential[tree.parent[node]] + (
            -cost if tree.up[node] else cost)
        node = _next(tree, node, root)


# ------------------------------------------------------------------ the pivot
@elementwise
def _meeting(tree: Tree, node: int, other: int) -> int:
    """The first node that the paths of both to the root have in common."""
    while node != other:
        if tree.depth[node] >= tree.depth[other]:
            node = tree.parent[node]
        else:
            other = tree.parent[other]
    return node


@elementwise
def _emptied(tree: Tree, flow: Array, node: int, top: int, away: bool, most: int, last: bool
             ) -> tuple[int, int]:
    """(The mass that can be pushed along the path between `node` and its ancestor `top`, the node
    whose arc to its parent is then empty, or NONE.) It is pushed down to `node` if `away`, else up
    from it.

    The limits are `most`, and the flows of arcs that point against the push, which it reduces. Of
    several arcs that are emptied, the one nearest to `node` is given, or with `last` the one
    farthest from it."""
    found = NONE
    while node != top:
        if tree.up[node] == away:
            here = flow[tree.arc[node]]
            if here < most or (last and here == most):
                most, found = here, node
        node = tree.parent[node]
    return most, found


@elementwise
def _push(tree: Tree, flow: Array, node: int, top: int, away: bool, mass: int) -> None:
    """Push the mass along the path that `_emptied` describes."""
    while node != top:
        flow[tree.arc[node]] += -mass if tree.up[node] == away else mass
        node = tree.parent[node]


@elementwise
def _pivot(tree: Tree, arcs: Arcs, arc: int, reduced: float) -> None:
    """Add `arc`, whose reduced cost is `reduced` < 0, to the tree, and remove the arc that becomes
    empty. The reduced cost is the change of the total cost for each unit of mass on the arc."""
    tail, head, flow = arcs.tail[arc], arcs.head[arc], arcs.flow
    top = _meeting(tree, tail, head)
    mass, out = _emptied(tree, flow, tail, top, True, np.iinfo(np.int64).max, False)
    mass, later = _emptied(tree, flow, head, top, False, mass, True)
    flow[arc] += mass
    _push(tree, flow, tail, top, True, mass)
    _push(tree, flow, head, top, False, mass)
    if later == NONE:  # the arc that leaves is on the path from the tail, not from the head
        _move(tree, tail, out, head, arc, True)
        _shift(tree, tail, -reduced)
    else:
        _move(tree, head, later, tail, arc, False)
        _shift(tree, head, reduced)


@elementwise
def _cheapest(tree: Tree, arcs: Arcs, start: int, stop: int, least: float) -> tuple[int, float]:
    """(The arc with the smallest reduced cost among `start` to `stop` - 1, this cost) if it is
    below `least`; else (NONE, least)."""
    found = NONE
    for k in range(start, stop):
        reduced = arcs.cost[k] + tree.potential[arcs.tail[k]] - tree.potential[arcs.head[k]]
        if reduced < least:
            least, found = reduced, k
    return found, least


@kernel
def pivots(tree: Any, arcs: Any, nodes: int, block: int, tolerance: float, place: Array, most: int,
           i0: int, i1: int) -> bool:
    """Pivot until no reduced cost is below -tolerance, and return true; or return false after
    `most` pivots, to be called again.

    Arcs are searched in blocks of size `block`, in turn, from place[0] on, which says where the
    next search begins. The best arc of the first block that has one is taken. i0 and i1, which
    every kernel has, are not used."""
    _renew(tree, arcs)
    size, done = arcs.cost.size, 0
    looked = 0  # arcs searched since the last pivot: none of them lowers the cost
    while looked < size - nodes:
        start = place[0]
        stop = min(start + block, size)
        arc, reduced = _cheapest(tree, arcs, start, stop, -tolerance)
        place[0] = nodes if stop == size else stop
        if arc == NONE:
            looked += stop - start
            continue
        if done == most:
            return False
        _pivot(tree, arcs, arc, reduced)
        looked, done = 0, done + 1
    return True


# ------------------------------------------------------------------ the method
FRESH = 1e-13
"""A pivot must lower the cost of a unit of mass by more than this part of the penalty: less may be
a rounding of the potentials."""

PIVOTS = 1 << 13
"""Pivots between two pauses of `steps`: some tens of milliseconds."""


class NetworkSimplex:
    """The `FlowProblem` of this backend: supply (n,), demand (m,) and penalty are those of
    `FlowSolver.flow_problem`. A solve after more pairs were added starts from the flow before."""

    def __init__(self, supply: Array, demand: Array, penalty: float) -> None:
        self.n, self.nodes, self.penalty = len(supply), len(supply) + len(demand), penalty
        self.tree, self.arcs = first_tree(supply, demand)

    def add(self, rows: Array, columns: Array, costs: Array) -> None:
        """More pairs (k,), with their costs."""
        new = rows, self.n + columns, costs, np.zeros(len(costs), np.int64)
        self.arcs = Arcs(*(np.concatenate([old, more])
                           for old, more in zip(self.arcs, new, strict=True)))

    def steps(self) -> Iterator[None]:
        """Pivot until the flow is the cheapest, with a pause after each PIVOTS of them."""
        self.arcs.cost[:self.nodes] = self.penalty
        block = max(int(math.sqrt(len(self.arcs.cost))), 32)
        place = np.full(1, self.nodes)
        while not pivots(self.tree, self.arcs, self.nodes, block, FRESH * self.penalty, place,
                         PIVOTS, 0, 1):
            yield

    @property
    def flow(self) -> Array:
        """The mass on each pair, in the order in which they were added, (k,)."""
        return self.arcs.flow[self.nodes:]

    @property
    def potentials(self) -> tuple[Array, Array]:
        """(f (n,), g (m,)): f_i + g_j = C_ij on pairs with mass, and at most C_ij on all pairs."""
        return -self.tree.potential[:self.n], self.tree.potential[self.n:-1].copy()
