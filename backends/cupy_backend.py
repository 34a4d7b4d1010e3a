"""The CuPy backend: a name that says clearly what is missing (its kernels are not written yet)."""

from __future__ import annotations

from importlib.util import find_spec

from refot.backend_contract import BackendUnavailableError


class CupyBackend:
    """Raises BackendUnavailableError: no CuPy, no GPU, or (where both are) no kernels yet."""

    name = "cupy"

    def __init__(self) -> None:
        if find_spec("cupy") is None:
            raise BackendUnavailableError(
                "cupy: the package is not installed; on a machine with an NVIDIA GPU: "
                "pip install 'refot[gpu]' (or the cupy build that fits your CUDA)"
            )
        raise BackendUnavailableError(
            "cupy: the package is there, but refot's CUDA kernels are not written yet; "
            "use numba or numpy"
        )
