"""Lines of code, counted by one rule for all libraries.

A line counts if something stands on it that is no comment, no docstring and no import. Of a
function the body counts, without the line of `def`, and with it the functions of its file that
nothing else calls.
"""

from __future__ import annotations

import ast
import io
import tokenize

NO_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
           tokenize.ENDMARKER}
"""Tokens that make no line one of code."""


def of_file(text: str) -> int:
    """The lines of code of a file."""
    return len(numbers(text))


def of_function(text: str, name: str) -> int:
    """The lines of code in the body of a function, and of the functions that it alone calls."""
    tree = ast.parse(text).body
    known = {node.name: node for node in tree if isinstance(node, ast.FunctionDef)}
    elsewhere = set().union(*(names(node) for node in tree if node is not known[name]))
    mine = known.keys() & names(known[name]) - elsewhere
    code = numbers(text)
    return sum(line in code for each in {name, *mine}
               for line in range(known[each].body[0].lineno, (known[each].end_lineno or 0) + 1))


def numbers(text: str) -> set[int]:
    """The numbers of the lines of code in a file."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for token in tokens if token.type not in NO_CODE
             for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node):
            node = node.body[0]
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        lines -= set(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines


def names(node: ast.AST) -> set[str]:
    """The names that are used inside."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
