"""A Sphinx extension: formulas become MathML while the site is built, so that no script runs."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml


def formula(latex: str, display: bool) -> str:
    """MathML of a LaTeX formula. Raises docutils' MathError for what it does not know."""
    text = tex2mathml(latex, as_block=display).replace("&ApplyFunction;", "&#8289;")
    lines = (line.strip() for line in text.splitlines())
    return "".join(lines)


def visit_inline(writer: Any, node: nodes.Element) -> None:
    writer.body.append(formula(node.astext(), display=False))
    raise nodes.SkipNode


def visit_display(writer: Any, node: nodes.Element) -> None:
    """A wide formula scrolls within its own box, which the keyboard reaches as well."""
    writer.body.append(f'<div class="formula" tabindex="0">{formula(node.astext(), True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
