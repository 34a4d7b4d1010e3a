"""The cheapest flow over a list of pairs, by the network simplex method.

Rows are sources and columns are sinks; a pair (i, j) is an arc that may carry any amount of mass at
its cost. One more node, the root, is joined to all others by an artificial arc, so that there is a
flow whatever the pairs are. A spanning tree of arcs is the basis: it determines the flow, which is
0 off the tree, and the potentials, which make every arc of the tree cost what its ends differ by. A
pivot takes in an arc that is cheaper than its way through the tree, and pushes flow around the
circle that it closes until an arc of the circle is empty, which leaves the tree.

Masses are whole numbers. So flows are exact, and two rules keep the method from walking in circles
(kovacs2015minimum in docs/references.bib): in the first tree no empty arc points away from the
root, and of several arcs that become empty together the last one along the circle leaves.
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
    """The spanning tree; (nodes,) each. The root is the last node."""

    parent: Array
    arc: Array
    """The arc that joins a node to its parent."""

    up: Array
    """Whether that arc points to the parent."""

    child: Array
    """The first child; the other children follow as `after`."""

    after: Array
    """The next child of the same parent."""

    before: Array
    """The previous child of the same parent."""

    depth: Array
    potential: Array
    """The cost of getting mass to the node: an arc of the tree costs potential[head] -
    potential[tail]."""


class Arcs(NamedTuple):
    """The arcs; (k,) each. The first ones are artificial, one for each node but the root."""

    tail: Array
    head: Array
    cost: Array
    flow: Array


def first_tree(supply: Array, demand: Array) -> tuple[Tree, Arcs]:
    """All mass goes by the root. Costs and potentials are set when a solve begins."""
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
    """Take a node off the list of its parent's children."""
    before, after = tree.before[node], tree.after[node]
    if before == NONE:
        tree.child[tree.parent[node]] = after
    else:
        tree.after[before] = after
    if after != NONE:
        tree.before[after] = before


@elementwise
def _hang(tree: Tree, node: int, parent: int, arc: int, up: bool) -> None:
    """Put a node on the list of the parent's children, first of all."""
    tree.parent[node], tree.arc[node], tree.up[node] = parent, arc, up
    after = tree.child[parent]
    tree.before[node], tree.after[node], tree.child[parent] = NONE, after, node
    if after != NONE:
        tree.before[after] = node


@elementwise
def _move(tree: Tree, node: int, top: int, parent: int, arc: int, up: bool) -> None:
    """Cut off the part of the tree below `top`, and hang it below `parent` by its `node`: on the
    way from there to `top` parents and children change places."""
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
    """The next node of a walk over all below `top`, parents first; NONE after the last one."""
    below: int = tree.child[node]
    if below != NONE:
        return below
    while node != top and tree.after[node] == NONE:
        node = tree.parent[node]
    beside: int = tree.after[node]
    return NONE if node == top else beside


@elementwise
def _shift(tree: Tree, top: int, change: float) -> None:
    """Add `change` to the potentials of `top` and all below it, and count their depths anew."""
    node = top
    while node != NONE:
        tree.potential[node] += change
        tree.depth[node] = tree.depth[tree.parent[node]] + 1
        node = _next(tree, node, top)


@elementwise
def _renew(tree: Tree, arcs: Arcs) -> None:
    """Compute all potentials anew from the costs: each change of them has added a rounding."""
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
    """The node where the ways of both to the root meet."""
    while node != other:
        if tree.depth[node] >= tree.depth[other]:
            node = tree.parent[node]
        else:
            other = tree.parent[other]
    return node


@elementwise
def _emptied(tree: Tree, flow: Array, node: int, top: int, away: bool, most: int, last: bool
             ) -> tuple[int, int]:
    """Walk from `node` up to `top`: (how much can be pushed along this way, the node whose arc to
    its parent is then empty, or NONE). It is at most `most`, and what the arcs hold against whose
    direction it is pushed. `away`: it is pushed from `top` down to the node. Of several arcs that
    are emptied the first one met counts, or with `last` the last one."""
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
    """Push the mass along that way."""
    while node != top:
        flow[tree.arc[node]] += -mass if tree.up[node] == away else mass
        node = tree.parent[node]


@elementwise
def _pivot(tree: Tree, arcs: Arcs, arc: int, reduced: float) -> None:
    """Take `arc` into the tree, which saves `reduced` < 0 a unit of mass, and another one out."""
    tail, head, flow = arcs.tail[arc], arcs.head[arc], arcs.flow
    top = _meeting(tree, tail, head)
    mass, out = _emptied(tree, flow, tail, top, True, np.iinfo(np.int64).max, False)
    mass, later = _emptied(tree, flow, head, top, False, mass, True)
    flow[arc] += mass
    _push(tree, flow, tail, top, True, mass)
    _push(tree, flow, head, top, False, mass)
    if later == NONE:  # an arc on the side of the tail leaves
        _move(tree, tail, out, head, arc, True)
        _shift(tree, tail, -reduced)
    else:
        _move(tree, head, later, tail, arc, False)
        _shift(tree, head, reduced)


@elementwise
def _cheapest(tree: Tree, arcs: Arcs, start: int, stop: int, least: float) -> tuple[int, float]:
    """(the arc between `start` and `stop` that saves most, its reduced cost), if that is below
    `least`; else (NONE, least)."""
    found = NONE
    for k in range(start, stop):
        reduced = arcs.cost[k] + tree.potential[arcs.tail[k]] - tree.potential[arcs.head[k]]
        if reduced < least:
            least, found = reduced, k
    return found, least


@kernel
def pivots(tree: Any, arcs: Any, nodes: int, block: int, tolerance: float, place: Array, most: int,
           i0: int, i1: int) -> bool:
    """Pivots until no arc saves more than `tolerance`: then true; false after `most` of them.

    The arcs are looked through in blocks, in turns, from place[0] on; the best arc of a block that
    has one is taken. i0 and i1, which every kernel has, are not used."""
    _renew(tree, arcs)
    size, done = arcs.cost.size, 0
    looked = 0  # arcs in a row that save nothing
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
"""An arc is taken in only if it saves more than this part of the penalty: less may be rounding of
the potentials."""

PIVOTS = 1 << 13
"""After this number of pivots the method pauses: some tens of milliseconds."""


class NetworkSimplex:
    """A `FlowProblem`. Each solve starts from the flow of the one before."""

    def __init__(self, supply: Array, demand: Array, penalty: float) -> None:
        self.n, self.nodes, self.penalty = len(supply), len(supply) + len(demand), penalty
        self.tree, self.arcs = first_tree(supply, demand)

    def add(self, rows: Array, columns: Array, costs: Array) -> None:
        """More pairs (k,), with their costs."""
        new = rows, self.n + columns, costs, np.zeros(len(costs), np.int64)
        self.arcs = Arcs(*(np.concatenate([old, more])
                           for old, more in zip(self.arcs, new, strict=True)))

    def steps(self) -> Iterator[None]:
        """Pivots until the flow is the cheapest, with a pause now and then."""
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
