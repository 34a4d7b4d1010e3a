"""Mutants of an equation: one sign, constant, axis, weight, transpose or reduction changed.

People make such mistakes when they type a formula from a paper. Here a program makes them: it
replaces one node of the syntax tree of a module. The tests of the module should fail on each
mutant. Code that is no equation is not changed: annotations, default arguments, error messages, the
choice of library and dtype, and constants outside [1e-3, 100], which are limits and tolerances.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

Node = TypeVar("Node", bound=ast.AST)
Operator = ast.operator | ast.cmpop

ARITHMETIC: dict[type[Operator], type[Operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult}
"""Each operator, and the one that replaces it. `@` is not changed: exchanging its operands gives
the same number for two vectors."""

COMPARISONS: dict[type[Operator], type[Operator]] = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq}
"""Each comparison, and its negation, which replaces it."""

BOUNDARIES: dict[type[Operator], type[Operator]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
"""Each comparison with 0, and the one that replaces it: people forget the case of equality, which
is that of atoms without mass."""

PAIRS = (("a", "b"), ("f", "g"), ("x", "y"), ("u", "v"), ("F", "G"), ("P", "Q"))
"""Names that people confuse: those of the two measures and of what belongs to them, and P and Q of
B (Bréchet et al. 2019)."""

PARTNERS = dict(PAIRS) | {other: name for name, other in PAIRS}
"""Each of these names, and the one that replaces it."""

REDUCTIONS = {"min": "max", "max": "min", "maximum": "minimum", "minimum": "maximum",
              "sum": "mean", "mean": "sum"}
"""Each reduction, and the one that replaces it."""

ASIDE = ("warn", "namespace", "zeros_like", "ones_like", "finfo", "row_blocks", "slice")
"""Functions whose calls are not changed, because they are no part of an equation: they warn, or
choose a library, a dtype, or blocks of rows."""


@dataclass(frozen=True)
class Mutant:
    """A module with one expression changed: its line, the kind of change, the expression before and
    after, and the whole source after the change."""

    line: int
    kind: str
    before: str
    after: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    found = [(node, kind, after) for node, names in _equations(ast.parse(source), frozenset())
             for kind, after in _changes(node)
             if not isinstance(after, ast.Name) or after.id in names]
    for node, kind, after in sorted(found, key=lambda each: each[0].lineno):
        before = ast.get_source_segment(source, node)
        assert before is not None
        text = ast.unparse(after)
        yield Mutant(node.lineno, kind, " ".join(before.split()), text,
                     _replaced(source, node, f"({text})" if _compound(after) else text))


# ------------------------------------------------------------------ where
def _equations(
    node: ast.AST, names: frozenset[str]
) -> Iterator[tuple[ast.expr, frozenset[str]]]:
    """The expressions that compute something, each with the names that occur in its function.

    Annotations, defaults, messages, docstrings and decorators are left out; an `axis` is changed
    together with its call.
    """
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Assert() | ast.Expr(value=ast.Constant()):
            return
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in ASIDE:
            return
        case ast.FunctionDef() | ast.ClassDef():
            children: list[ast.AST] = [*node.body]
            names |= _names(node)
        case ast.AnnAssign():
            children = [node.value] if node.value is not None else []
        case ast.Lambda():
            children = [node.body]
            names |= _names(node)
        case ast.keyword(arg="axis" | "dtype"):
            return
        case _:
            children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.expr):
        yield node, names
    for child in children:
        yield from _equations(child, names)


def _names(function: ast.AST) -> frozenset[str]:
    """The names that occur in a function, its arguments among them."""
    nodes = list(ast.walk(function))
    return frozenset([node.arg for node in nodes if isinstance(node, ast.arg)]
                     + [node.id for node in nodes if isinstance(node, ast.Name)])


def _compound(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp | ast.UnaryOp | ast.Compare)


def _replaced(source: str, node: ast.expr, text: str) -> str:
    """`source` with the text of a node replaced; columns of a syntax tree count bytes of UTF-8."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    lines = source.encode().splitlines(keepends=True)
    start = sum(map(len, lines[:node.lineno - 1])) + node.col_offset
    end = sum(map(len, lines[:node.end_lineno - 1])) + node.end_col_offset
    whole = b"".join(lines)
    return (whole[:start] + text.encode() + whole[end:]).decode()


# ------------------------------------------------------------------ what
def _changes(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """(kind of change, the expression that replaces the node) for each mistake that can be made at
    this node."""
    match node:
        case ast.BinOp(op=op) if type(op) in ARITHMETIC:
            yield "operator", _with(node, op=ARITHMETIC[type(op)]())
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield "sign", operand
        case ast.Compare(ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            yield "comparison", _with(node, ops=[COMPARISONS[type(op)]()])
            if type(op) in BOUNDARIES and isinstance(right, ast.Constant) and right.value == 0:
                yield "boundary", _with(node, ops=[BOUNDARIES[type(op)]()])
        case ast.Constant(value=float(value)) if 1e-3 <= abs(value) <= 100:
            yield "constant", ast.Constant(2 * value)
        case ast.Constant(value=int(value)) if not isinstance(value, bool) and value <= 100:
            yield "constant", ast.Constant(value + 1)
        case ast.Name(id=name, ctx=ast.Load()) if name in PARTNERS:
            yield "partner", ast.Name(PARTNERS[name])
        case ast.Attribute(attr="T", value=value, ctx=ast.Load()):
            yield "transpose", value
        case ast.Attribute(attr=name, ctx=ast.Load()) if name in PARTNERS:
            yield "partner", _with(node, attr=PARTNERS[name])
        case ast.Call():
            yield from _changes_of_call(node)


def _changes_of_call(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    if name in REDUCTIONS and isinstance(node.func, ast.Attribute):
        yield "reduction", _with(node, func=_with(node.func, attr=REDUCTIONS[name]))
    for k, keyword in enumerate(node.keywords):
        match keyword:
            case ast.keyword(arg="axis", value=ast.Constant(value=int(axis))):
                turned = _with(keyword, value=ast.Constant(1 - axis))
                yield "axis", _with(node, keywords=[*node.keywords[:k], turned,
                                                    *node.keywords[k + 1:]])


def _with(node: Node, **fields: object) -> Node:
    """A copy of the node with other fields."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
