"""Runs a page as a session: its Python and console blocks, in order, and what they print.

    python docs/sessions.py docs/limits.md ...    writes below each block what it prints

Below a block of Python that prints stands a block of `text` with what it prints. The tests run
every page and compare; this program writes the blocks anew where the two differ.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

EXTRAS = {
    "pot": ("ot",),
    "peers": ("ot", "ott", "geomloss", "torch"),
    "data": ("sklearn",),
    "solvers": ("pykeops", "mdot_tnt", "regot", "geomloss", "torch"),
    "torchgw": ("torchgw", "torch"),
}
"""The packages that an extra brings, by the names under which they are imported; `solvers` and
`torchgw` are no extras of refot: docs/findings-*.md say how to install them."""

NEEDS = re.compile(r"<!-- needs: (?P<extras>[a-z, ]+) -->")
BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$"
                   r"(?P<output>\n\n```text(?P<about> about)?\n(?P<shown>.*?)^```$)?",
                   re.MULTILINE | re.DOTALL)
"""A fenced block, and the block of `text` that follows with nothing between them. "text about" has
numbers that depend on rounding, as those of a training do."""

REFOT = (sys.executable, "-c", "import sys; sys.argv[0] = 'refot'; from refot.cli.app import main; "
         "main()")
"""`refot`, of the interpreter that runs the page, whether its script is on the PATH or not."""


# ------------------------------------------------------------------ what a page holds
@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, the line of the page on which the text begins, the
    text of the block below it that shows what it prints ("" if there is none), and whether that
    shows it about."""

    language: str
    text: str
    line: int
    shown: str = ""
    about: bool = False


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in BLOCK.finditer(page):
        start = page.count("\n", 0, found.start("text"))
        yield Block(found["language"], found["text"], start, found["shown"] or "",
                    bool(found["about"]))


@dataclass(frozen=True)
class Command:
    """One `$ ...` line of a console block, and the lines of output that the page shows."""

    words: tuple[str, ...]
    shown: tuple[str, ...]


def commands(text: str) -> Iterator[Command]:
    """The commands of a console block; text before the first is a mistake."""
    first, *rest = re.split(r"^\$ ", text, flags=re.MULTILINE)
    assert not first.strip(), f"a console block begins with `$ `, not with {first!r}"
    for part in rest:
        line, *shown = part.splitlines()
        yield Command(tuple(shlex.split(line)), tuple(shown))


def missing_packages(page: str) -> list[str]:
    """The packages that the first line of a page asks for and that are not installed."""
    asked = NEEDS.search(page.partition("\n")[0])
    extras = [name.strip() for name in asked["extras"].split(",")] if asked else []
    return [package for extra in extras for package in EXTRAS[extra] if find_spec(package) is None]


# ------------------------------------------------------------------ comparing
def mismatch(shown: tuple[str, ...], output: str) -> str:
    """The first shown line of a command that the output lacks, "" if there is none.

    Spaces count as one; `...` stands for anything within a line, and alone for any lines; the
    lines that are shown come in that order.
    """
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in shown:
        parts = [re.escape(" ".join(part.split())) for part in line.split("...")]
        pattern = re.compile(r".*?".join(parts))
        if any(parts) and not any(pattern.search(candidate) for candidate in lines):
            return line
    return ""


NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.(?P<decimals>\d*))?(?:e(?P<exponent>[-+]\d+))?")


def difference(shown: str, printed: str, about: bool = False) -> str:
    """The first line that a block shows and that was not printed, or that was and is not shown; ""
    if all are alike. `...` stands for anything within a line."""
    for line, other in zip_longest(shown.splitlines(), printed.splitlines(), fillvalue=""):
        if not same_line(line, other, about):
            return line or other
    return ""


def same_line(shown: str, printed: str, about: bool) -> bool:
    """Whether the words are the same and the numbers are nearly, or `about`: to a tenth."""
    parts = [re.escape(" ".join(NUMBER.sub("#", part).split())) for part in shown.split("...")]
    if not re.fullmatch(".*?".join(parts), " ".join(NUMBER.sub("#", printed).split())):
        return False
    pairs = zip(NUMBER.finditer(shown), NUMBER.finditer(printed), strict="..." not in shown)
    near = about_same_number if about else same_number
    return "..." in shown or all(near(*pair) for pair in pairs)


def about_same_number(shown: re.Match[str], printed: re.Match[str]) -> bool:
    """Whether two numbers differ by a tenth, or by 0.02, at most."""
    left, right = float(shown[0]), float(printed[0])
    return abs(left - right) <= max(0.1 * abs(left), 0.02)


def same_number(shown: re.Match[str], printed: re.Match[str]) -> bool:
    """Whether two numbers differ by one unit of the last digit at most, or after the fifth digit.

    One digit with an exponent, "3e-06", is an order of magnitude: right to a factor of ten. What is
    below 1e-8 is what rounding left, which another machine rounds otherwise.
    """
    left, right = float(shown[0]), float(printed[0])
    if max(abs(left), abs(right)) < 1e-8:
        return True
    if shown["exponent"] and not shown["decimals"]:
        return 0.1 <= left / (right or 1e-300) <= 10
    unit = 10.0 ** (int(shown["exponent"] or 0) - len(shown["decimals"] or ""))
    return abs(left - right) <= max(1.01 * unit, 1e-5 * abs(left))


# ------------------------------------------------------------------ running it
@dataclass
class Session:
    """What the blocks of one page share: a namespace, a folder, the last exit status, and a
    context, so that the default backend that a page chooses ends with the page."""

    page: str
    folder: Path
    namespace: dict[str, Any]
    status: int = 0
    context: Context = field(default_factory=copy_context)

    def run(self, block: Block) -> str:
        """Run a Python or console block, and return what Python printed; blocks of other languages
        are for reading only."""
        if block.language == "console":
            for command in commands(block.text):
                self.execute(command)
        if block.language != "python":
            return ""
        code = compile("\n" * block.line + block.text, self.page, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.context.run(exec, code, self.namespace)
        return printed.getvalue()

    def execute(self, command: Command) -> None:
        """`cd` (which shows nothing), `echo $?`, `refot`, or a checker of docs/checkers; a page may
        show nothing else."""
        match command.words:
            case ("cd", folder):
                self.folder = self.folder / folder
                os.chdir(self.folder)
                output = ""
            case ("echo", "$?"):
                output = str(self.status)
                assert command.shown == (output,), f"{self.page}: exit status {output}"
            case ("refot", *arguments):
                output = self.output(*REFOT, *arguments)
            case ("python3" | "node" as language, script, *arguments) if "checkers" in script:
                program = sys.executable if language == "python3" else language
                output = self.output(program, script, *arguments)
            case _:
                raise AssertionError(f"{self.page}: `{shlex.join(command.words)}` would not be run")
        missing = mismatch(command.shown, output)
        assert not missing, (
            f"{self.page}: `{shlex.join(command.words)}` does not print\n{missing}\nbut\n{output}"
        )

    def output(self, *command: str) -> str:
        """What the command prints, to either stream."""
        done = subprocess.run(command, cwd=self.folder, text=True, encoding="utf-8",
                              env=os.environ | {"PYTHONIOENCODING": "utf-8"},
                              capture_output=True, check=False, timeout=300)
        self.status = done.returncode
        return done.stdout + done.stderr


def prepare(folder: Path) -> None:
    """Copy docs/examples and docs/checkers, which the pages use, below a folder."""
    for name in ("examples", "checkers"):
        shutil.copytree(ROOT / "docs" / name, folder / "docs" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))


# ------------------------------------------------------------------ writing what it prints
def with_outputs(page: str, session: Session) -> str:
    """The page, with what each block of Python prints below it. What is shown and still true stays
    as it is."""
    printed = iter([session.run(block) if block.language in ("python", "console") else None
                    for block in blocks(page)])

    def written(found: re.Match[str]) -> str:
        output = next(printed)
        if found["language"] != "python" or not difference(
                found["shown"] or "", output or "", bool(found["about"])):
            return found[0]
        block = found[0].removesuffix(found["output"] or "")
        lines = "\n".join(line.rstrip() for line in (output or "").splitlines())
        about = found["about"] or ""
        return f"{block}\n\n```text{about}\n{lines}\n```" if output else block

    return BLOCK.sub(written, page)


def main() -> None:
    for name in sys.argv[1:]:
        path = Path(name).resolve()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            prepare(Path(folder))
            sys.path.insert(0, "")
            session = Session(name, Path(folder), {"__name__": "__main__"})
            text = with_outputs(path.read_text(encoding="utf-8"), session)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
