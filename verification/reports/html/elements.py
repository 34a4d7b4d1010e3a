"""Elements of a page, built as a tree, so that the text of a subject can never become markup."""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

Child = Element | str
"""What an element may contain."""


def tag(name: str, *children: Child, **attributes: str) -> Element:
    """`<name attributes>children</name>`. In the name of an attribute, a _ at the end is dropped
    (write `class_` for class), and any other becomes a -."""
    element = Element(name, {key.rstrip("_").replace("_", "-"): value
                             for key, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def table(headings: tuple[str, ...], rows: list[list[Child]], class_: str = "plain") -> Element:
    """A table in a box that scrolls sideways if the page is narrower than the table."""
    head = tag("thead", tag("tr", *(tag("th", heading, scope="col") for heading in headings)))
    body = tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows))
    return tag("div", tag("table", head, body, class_=class_), class_="scrolls")


def page(root: Element) -> str:
    """The tree as an HTML document. Lone surrogates, which UTF-8 cannot hold, become `?`."""
    text = "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
    return text.encode("utf-8", "replace").decode("utf-8")
