"""Text that a subject wrote, made safe to show: printable, on one line, of bounded length."""

from __future__ import annotations


def text_of(said: object) -> str:
    """`str(said)`, printable. `said` may be of a class of the subject, whose __str__ may raise."""
    try:
        return printable(str(said))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it raises, there is no text
        return f"(without text: its __str__ raises {type(error).__name__})"


def printable(text: str) -> str:
    """The text, with lone surrogates written as \\udXXX: no file and no terminal takes them."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def one_line(message: str, length: int = 120) -> str:
    """`message` on one line of at most `length` characters."""
    line = printable(" ".join(message.split()))
    return line if len(line) <= length else line[: length - 1] + "…"
