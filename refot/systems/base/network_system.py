"""What the systems share: networks and optimisers by name, and one step as a draw and an update.

`step` first calls `draw`, which alone uses the random generator, and then `update` on what was
drawn. So a step can be repeated elsewhere, from the same weights and the same batch, without the
same random numbers: a golden trajectory (`verification/trajectories/`) is a few steps recorded so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from refot.arrays import Array, UnknownNameError, namespace
from refot.backend_contract import Backend, BackendLike, backend_for
from refot.networks import Heads, Optimiser, Sequential

Batch: TypeAlias = dict[str, Array]
"""What one step draws, by name: latents, data, indices. A first axis counts the mini-batches."""


class NetworkSystem(ABC):
    """A system made of `networks` and `optimisers`; `extra` holds what else a step changes.

    Networks and optimisers are named, and so are their arrays in `state`: "g/0.W" is a weight of
    the first layer of network g, "optimiser g/m/0.W" what its optimiser remembers of that weight.
    """

    name: str

    def __init__(self, seed: int, backend: BackendLike) -> None:
        # one for the whole run: resumed, it has the same digits
        self.backend: Backend = backend_for(0, backend)
        self.xp = self.backend.xp
        self.rng = np.random.default_rng(seed)
        self.networks: dict[str, Sequential | Heads] = {}
        self.optimisers: dict[str, Optimiser] = {}
        self.extra: dict[str, Array] = {}  # arrays of the backend, or of NumPy (a counter)

    @abstractmethod
    def draw(self) -> Batch:
        """All that one step draws, on the backend: the only place that uses `rng`."""

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, float]:
        """One outer iteration of the printed algorithm on that batch; its losses, by name."""

    def step(self) -> dict[str, float]:
        """One outer iteration of the printed algorithm; its losses, by name."""
        return self.update(self.draw())

    # -------------------------------------------------------------- state
    def state(self) -> dict[str, Array]:
        """Weights, running statistics, what the optimisers remember, and `extra`."""
        arrays = {f"extra/{key}": array for key, array in self.extra.items()}
        for name, network in self.networks.items():
            held = network.weights | network.statistics
            arrays |= {f"{name}/{key}": array for key, array in held.items()}
        for name, optimiser in self.optimisers.items():
            arrays |= {f"optimiser {name}/{key}": a for key, a in optimiser.state().items()}
        return arrays

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go back to what `state` returned. Raises UnknownNameError for arrays it does not have."""
        state = dict(state)
        for name, network in self.networks.items():
            for key, array in (network.weights | network.statistics).items():
                array[...] = self.xp.asarray(_taken(state, f"{name}/{key}"))
        for key, array in self.extra.items():
            array[...] = namespace(array).asarray(_taken(state, f"extra/{key}"))
        for name, optimiser in self.optimisers.items():
            prefix = f"optimiser {name}/"
            mine = [key for key in state if key.startswith(prefix)]
            optimiser.restore({key.removeprefix(prefix): _taken(state, key) for key in mine})
        if state:
            raise UnknownNameError("state", repr(min(state)), f"arrays of {self.name}")

    # -------------------------------------------------------------- draws
    def on_device(self, values: Array) -> Array:
        """Drawn values as arrays of the backend; floats as float32, integers as they are."""
        values = np.asarray(values)
        return self.backend.asarray(
            values.astype(np.float32) if values.dtype.kind == "f" else values)


def _taken(state: dict[str, Array], key: str) -> Array:
    """The array of that name, taken out. Raises UnknownNameError."""
    if key not in state:
        raise UnknownNameError("state", f"no {key!r}", "every array that `state` returned")
    return state.pop(key)


def chunks(count: int, size: int = 1_000) -> list[int]:
    """`count` in parts of at most `size`: samples are generated part by part, to bound memory."""
    return [min(size, count - start) for start in range(0, count, size)]

