"""Text that somebody else wrote (names of subjects and files, messages of errors) on a terminal.

Rich reads [red] in a string as a colour and :boom: as a picture, and a terminal obeys what follows
an escape character. `plain` leaves nothing that a terminal obeys; `foreign` makes text of it in
which Rich looks for nothing.
"""

from __future__ import annotations

import warnings

from rich.text import Text


def plain(text: object) -> str:
    r"""The text on one line, all that is not printable as its escape (\x1b, \n, \u202e): controls,
    marks that change the direction of writing, halves of surrogate pairs."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def plain_lines(text: object) -> str:
    """`plain` of each line, where there may be many: a traceback, a message of several lines."""
    return "\n".join(plain(line.expandtabs(4)) for line in str(text).split("\n"))


def foreign(text: object, style: str = "") -> Text:
    """`plain` as text of Rich's that is shown as it is, in a style of ours."""
    return Text(plain(text), style)


def complaint(text: object) -> Text:
    """An error of refot's, whose message may quote anything."""
    return Text.assemble(("refot:", "bold red"), " ", plain_lines(text))


def plain_warnings() -> None:
    """From here on, warnings are written without what a terminal obeys."""
    usual = warnings.formatwarning

    def formatted(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                  line: str | None = None) -> str:
        return plain_lines(usual(message, category, filename, lineno, line))

    warnings.formatwarning = formatted
