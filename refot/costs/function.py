"""A cost that a function of the user computes, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from refot.arrays import Array, InputError, ShapeError, TypeInputError, first_failure, namespace
from refot.costs.ground import PairCost

BLOCK_ELEMENTS = 1 << 20
"""The number of entries of a block while the largest and the smallest cost are searched."""


@dataclass(frozen=True)
class FunctionCost(PairCost):
    """A cost from a function that takes some rows of x (r, d) and all of y (m, d), and returns the
    block of costs (r, m). Each row of the result must depend on its own row of x alone.

    There are no derivatives in the points. Certified intervals assume that each cost c that
    the function returns has an error of at most `roundings(d)` u |c|, where u = 2^-53 in float64;
    this cannot be checked.
    """

    function: Callable[[Array, Array], Array]

    flipped: bool = False
    """Whether this is the cost with exchanged arguments: `function` is then called with (y, x), and
    its block transposed."""

    name: str = field(init=False)

    def __post_init__(self) -> None:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        object.__setattr__(self, "name", str(name))

    @property
    def is_symmetric(self) -> bool:
        """False: whether the function is symmetric is not known."""
        return False

    @property
    def flip(self) -> FunctionCost:
        """(y, x) -> c(x, y)."""
        return replace(self, flipped=not self.flipped)

    def matrix(self, x: Array, y: Array) -> Array:
        """The block c(x_i, y_j), (n, m), in the dtype of the points. Raises InputError for anything
        else that the function may return."""
        block = self.function(y, x) if self.flipped else self.function(x, y)
        shape = (len(y), len(x)) if self.flipped else (len(x), len(y))
        xp = namespace(x)
        if not isinstance(block, xp.ndarray) or block.dtype.kind not in "fiub":
            raise TypeInputError("cost", f"a function that returns {type(block).__name__}",
                                 f"one that returns an array of real numbers, of {xp.__name__}")
        if block.shape != shape:
            raise ShapeError("cost", f"a function that returns shape {block.shape}",
                             f"{shape} for x {x.shape} and y {y.shape}")
        finite = xp.isfinite(block)
        if not bool(finite.all()):
            raise InputError("cost", f"a function that returns {first_failure(block, finite)}",
                             "finite costs; for forbidden pairs a matrix with inf")
        return (block.T if self.flipped else block).astype(x.dtype, copy=False)

    def gradient(self, x: Array, y: Array) -> Array:
        """Raises InputError: the gradient of a user's function is not known."""
        raise InputError("cost", f"the function {self.name!r}, of which no gradient is known",
                         "a cost with a gradient: refot.costs.ground.GroundCost, for example")

    def bound(self, x: Array, y: Array) -> float:
        """max |c|, from all n m entries."""
        lows, highs = zip(*self._ends(x, y), strict=True)
        return float(max(-min(lows), max(highs)))

    def spread(self, x: Array, y: Array) -> float:
        """max c - min c, from all n m entries."""
        lows, highs = zip(*self._ends(x, y), strict=True)
        return float(max(highs) - min(lows))

    def _ends(self, x: Array, y: Array) -> Iterator[tuple[float, float]]:
        """The smallest and the largest cost of each block."""
        step = max(1, BLOCK_ELEMENTS // len(y))
        for start in range(0, len(x), step):
            block = self.matrix(x[start:start + step], y)
            yield float(block.min()), float(block.max())

    def roundings(self, d: int) -> int:
        """d + 8: the error of a cost c in d dimensions as a multiple of u |c|, u = 2^-53 in
        float64. The true error is not known; as much is assumed as a sum over d coordinates would
        have, with a margin."""
        return d + 8
