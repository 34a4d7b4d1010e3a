"""The picture of the whole on the first page: boxes that are links, and arrows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LINE = 640, 330, 17


@dataclass(frozen=True)
class Box:
    """A box with its lines of text, its place and size, and the page it leads to."""

    lines: tuple[str, ...]
    x: int
    y: int
    page: str
    width: int = 150
    style: str = "left"

    @property
    def height(self) -> int:
        return 18 + LINE * len(self.lines)

    def drawn(self, pages: Collection[str]) -> str:
        """The box, a link if its page is among the pages of the site."""
        text = "".join(f'<text x="{self.x + self.width / 2}" y="{self.y + 22 + LINE * k}" '
                       f'class="middle">{escape(line)}</text>' for k, line in enumerate(self.lines))
        box = (f'<rect x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" '
               f'rx="6" class="{self.style}"/>{text}')
        return f'<a href="{self.page}.html">{box}</a>' if self.page in pages else box


PROBLEM = Box(("points x, y", "weights a, b"), 40, 8, "api/refot.measures")
COST = Box(("cost C, and eps",), 230, 16, "notation", 120)
SOLVE = Box(("solve:", "potentials f, g"), 125, 95, "solvers")
PLAN = Box(("plan P",), 8, 185, "equations/b-15", 100)
VALUES = Box(("values F, s",), 140, 185, "equations/b-10", 120)
GRADIENTS = Box(("gradients",), 290, 185, "equations/h-24", 100)
DIVERGENCE = Box(("divergence S",), 100, 262, "equations/b-9", 130)
TRAINING = Box(("training",), 270, 262, "training", 120)
ANSWER = Box(("what your code", "or a library returned"), 440, 8, "verifying-your-code", 180,
             "right")
PROOF = Box(("an interval that is", "proved to contain", "the right value"), 440, 112,
            "certificates", 180, "right")
VERDICT = Box(("passed, or what", "is wrong and why"), 440, 245, "findings", 180, "right")

BOXES = (PROBLEM, COST, SOLVE, PLAN, VALUES, GRADIENTS, DIVERGENCE, TRAINING, ANSWER, PROOF,
         VERDICT)
ARROWS = ((PROBLEM, SOLVE), (COST, SOLVE), (SOLVE, PLAN), (SOLVE, VALUES), (SOLVE, GRADIENTS),
          (VALUES, DIVERGENCE), (GRADIENTS, TRAINING), (ANSWER, PROOF), (PROOF, VERDICT))


def arrow(start: Box, end: Box) -> str:
    """From the lower side of one box to the upper side of another."""
    x, y = start.x + start.width / 2, start.y + start.height
    return (f'<path d="M{x:.0f} {y}L{end.x + end.width / 2:.0f} {end.y - 4}" class="fixed" '
            'marker-end="url(#tip)"/>')


def picture(pages: Collection[str]) -> str:
    """The picture as HTML."""
    tip = ('<defs><marker id="tip" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" '
           'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" class="tip"/></marker></defs>')
    across = (f'<path d="M{SOLVE.x + SOLVE.width} {SOLVE.y + 26}L{PROOF.x - 5} {PROOF.y + 32}" '
              'class="fixed" marker-end="url(#tip)"/>')
    parts = [arrow(start, end) for start, end in ARROWS] + [box.drawn(pages) for box in BOXES]
    return (f'<figure class="play whole"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="group" '
            'aria-label="From points, weights and a cost to potentials, and from these to plans, '
            'values, gradients, divergences and training; what your code returned is compared with '
            f'a proved interval.">{tip}{across}{"".join(parts)}</svg></figure>')
