"""A Sphinx extension: formulas become MathML while the site is built, so that no script runs."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

MATHML = "http://www.w3.org/1998/Math/MathML"
ElementTree.register_namespace("", MATHML)


def formula(latex: str, display: bool) -> str:
    """MathML of a LaTeX formula. Raises docutils' MathError for what it does not know."""
    text = tex2mathml(latex, as_block=display).replace("&ApplyFunction;", "&#8289;")
    found = indices_beside_accents("".join(line.strip() for line in text.splitlines()))
    for old, new in CORRECTIONS.items():
        found = found.replace(old, new)
    return found


ACCENTS = "~^_.\u02c6\u02dc\u02c9\u00af\u02d9\u203e"


def indices_beside_accents(text: str) -> str:
    """An index of a letter with an accent stands beside it, where docutils sets it below."""
    tree = ElementTree.fromstring(text)
    for node in [*tree.iter(f"{{{MATHML}}}munderover")]:
        base, index, over = node
        if over.get("accent") or (over.text or "") in ACCENTS:
            accented = ElementTree.Element(f"{{{MATHML}}}mover", {"accent": "true"})
            accented.extend([base, over])
            node.tag = f"{{{MATHML}}}msub"
            node[:] = [accented, index]
    for node in [*tree.iter(f"{{{MATHML}}}munder")]:
        if node[0].tag == f"{{{MATHML}}}mover":
            node.tag = f"{{{MATHML}}}msub"
    return ElementTree.tostring(tree, encoding="unicode", short_empty_elements=False)


SPACE = '<mspace width="0.17em"></mspace>'
CORRECTIONS = {
    "<mo>⟨</mo>": '<mo stretchy="false">⟨</mo>', "<mo>⟩</mo>": '<mo stretchy="false">⟩</mo>',
    '<mo class="mathopen">‖</mo>': '<mo stretchy="false" lspace="0" rspace="0">‖</mo>',
    "<mo>‖</mo>": '<mo stretchy="false" lspace="0" rspace="0">‖</mo>',
    "<mi>log</mi>": f"{SPACE}<mi>log</mi>{SPACE}",
}
"""Brackets of scalar products and norms do not grow with what stands beside them, and log
stands between spaces."""


def visit_inline(writer: Any, node: nodes.Element) -> None:
    writer.body.append(formula(node.astext(), display=False))
    raise nodes.SkipNode


def visit_display(writer: Any, node: nodes.Element) -> None:
    """A wide formula scrolls within its own box, which the keyboard reaches as well."""
    parts = "".join(formula(part, display=True) for part in side_by_side(node.astext()))
    writer.body.append(f'<div class="formula" tabindex="0">{parts}</div>\n')
    raise nodes.SkipNode


def side_by_side(latex: str) -> list[str]:
    r"""The formulas between which a \qquad stands: on a narrow page they come below each other."""
    return [latex] if r"\begin" in latex else latex.split(r"\qquad")


def setup(app: Any) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
