"""How text that somebody else wrote (names of files, messages of errors) is shown on a terminal.

A terminal executes the codes that follow an escape character. The library Rich reads [red] in a
string as a colour and :boom: as a picture. `plain` escapes every character that a terminal might
execute; `foreign` wraps the result so that Rich shows it unchanged.
"""

from __future__ import annotations

import warnings

from rich.text import Text


def plain(text: object) -> str:
    r"""The text on one line, with each unprintable character as its escape (\x1b, \n, \u202e).

    Unprintable are control characters, marks that change the direction of writing, and halves of
    surrogate pairs.
    """
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def plain_lines(text: object) -> str:
    """`plain` of each line of a longer text, a traceback for example."""
    return "\n".join(plain(line.expandtabs(4)) for line in str(text).split("\n"))


def foreign(text: object, style: str = "") -> Text:
    """The text made `plain`, as an object that Rich shows unchanged, in the given style."""
    return Text(plain(text), style)


def complaint(text: object) -> Text:
    """The line in which `refot` reports an error, made plain: the message may quote foreign
    text."""
    return Text.assemble(("refot:", "bold red"), " ", plain_lines(text))


def plain_warnings() -> None:
    """Make Python pass the text of each warning through `plain_lines`, from this call on."""
    usual = warnings.formatwarning

    def formatted(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                  line: str | None = None) -> str:
        return plain_lines(usual(message, category, filename, lineno, line))

    warnings.formatwarning = formatted
