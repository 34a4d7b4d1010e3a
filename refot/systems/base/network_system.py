"""What the systems share: networks and optimisers by name, and one step as a draw and an update.

`step` first calls `draw`, the only method that uses the random generator, and then `update` with
what was drawn. So another implementation can repeat a step, from the same weights and the same
batch, without the same random generator. The golden trajectories (`verification/trajectories/`) are
a few steps recorded in this way.
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
"""What one step draws, by name: latents, data, indices. Where a step needs several mini-batches,
the first axis of each array counts them."""


class NetworkSystem(ABC):
    """A system made of `networks` and `optimisers`, by name; `extra` holds all other arrays that a
    step changes.

    `state` names their arrays like this: "g/0.W" is a weight of the first layer of network g;
    "optimiser g/m/0.W" is the array m that g's optimiser keeps for this weight.
    """

    name: str

    def __init__(self, seed: int, backend: BackendLike) -> None:
        # Chosen once, whatever the sizes of the batches, so that a resumed run has the same digits.
        self.backend: Backend = backend_for(0, backend)
        self.xp = self.backend.xp
        self.rng = np.random.default_rng(seed)
        self.networks: dict[str, Sequential | Heads] = {}
        self.optimisers: dict[str, Optimiser] = {}
        self.extra: dict[str, Array] = {}  # arrays of the backend, or of NumPy (such as a counter)

    @abstractmethod
    def draw(self) -> Batch:
        """All that one step draws, as arrays of the backend. No other method uses `rng`."""

    @abstractmethod
    def update(self, batch: Batch) -> dict[str, float]:
        """One outer iteration of the paper's algorithm on this batch. Returns its losses, by name.
        """

    def step(self) -> dict[str, float]:
        """One outer iteration of the paper's algorithm. Returns its losses, by name."""
        return self.update(self.draw())

    # -------------------------------------------------------------- state
    def state(self) -> dict[str, Array]:
        """All arrays that the next step depends on, by name: weights, running statistics, the state
        of the optimisers, and `extra`."""
        arrays = {f"extra/{key}": array for key, array in self.extra.items()}
        for name, network in self.networks.items():
            held = network.weights | network.statistics
            arrays |= {f"{name}/{key}": array for key, array in held.items()}
        for name, optimiser in self.optimisers.items():
            arrays |= {f"optimiser {name}/{key}": a for key, a in optimiser.state().items()}
        return arrays

    def restore(self, state: Mapping[str, Array]) -> None:
        """Set all arrays to what `state` returned. Raises UnknownNameError for an array that is
        missing, or that the system does not have."""
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
        """`values` as an array of the backend: floats as float32, integers in their own dtype."""
        values = np.asarray(values)
        return self.backend.asarray(
            values.astype(np.float32) if values.dtype.kind == "f" else values)


def _taken(state: dict[str, Array], key: str) -> Array:
    """Remove the array of this name from `state`, and return it. Raises UnknownNameError."""
    if key not in state:
        raise UnknownNameError("state", f"no {key!r}", "every array that `state` returned")
    return state.pop(key)


def chunks(count: int, size: int = 1_000) -> list[int]:
    """Numbers of at most `size` whose sum is `count`: samples are generated part by part, so that
    memory is bounded."""
    return [min(size, count - start) for start in range(0, count, size)]

