"""The backend on an NVIDIA GPU: CuPy arrays, and sums over all pairs of points as CUDA kernels.

A kernel is compiled when it is first used with a ground cost, a dtype and a dimension (about a
second), and kept on disk by CuPy (CUPY_CACHE_DIR moves that). The kernels compute costs and
exponentials in the dtype of the cost, and long sums of these in float64. TF32, a float32 with fewer
digits, is not used: the kernels use no matrix product, and CuPy's own products leave TF32 off
unless CUPY_TF32=1 is set.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from refot.arrays import Array
from refot.backend_contract import BackendUnavailableError

from .operations import FusedOperations, Kernel
from .sources import DEVICE_OPTIONS, Build, source


class CupyBackend(FusedOperations):
    """The operations on CuPy arrays on the current device. Raises BackendUnavailableError where
    CuPy, a GPU, its driver or NVIDIA's run-time compiler is missing."""

    name = "cupy"

    def __init__(self) -> None:
        self._cupy = _cupy()

    @property
    def xp(self) -> ModuleType:
        return self._cupy

    @property
    def multiprocessors(self) -> int:
        return _multiprocessors(self._cupy, self._cupy.cuda.Device().id)

    def asarray(self, values: Any) -> Array:
        return self._cupy.asarray(values)

    def to_numpy(self, array: Array) -> Array:
        return self._cupy.asnumpy(array)

    def synchronize(self) -> None:
        """Return when the work on CuPy's current stream is done."""
        self._cupy.cuda.get_current_stream().synchronize()

    def kernel(self, operation: str, name: str, made: Build) -> Kernel:
        """The kernel `name` of the source of `operation`, compiled once in this process."""
        return _kernel(self._cupy, operation, name, made)


@cache
def _kernel(cupy: ModuleType, operation: str, name: str, made: Build) -> Kernel:
    kernel: Kernel = _module(cupy, operation, made).get_function(name)
    return kernel


@cache
def _module(cupy: ModuleType, operation: str, made: Build) -> Any:
    return cupy.RawModule(code=source(operation), options=(*made.options, *DEVICE_OPTIONS))


@cache
def _multiprocessors(cupy: ModuleType, device: int) -> int:
    return int(cupy.cuda.Device(device).attributes["MultiProcessorCount"])


def _cupy() -> ModuleType:
    """The package CuPy. Raises BackendUnavailableError, which says what is missing, where it cannot
    compute."""
    if find_spec("cupy") is None:
        raise BackendUnavailableError(
            "cupy: the package is not installed; on a machine with an NVIDIA GPU: "
            "pip install 'refot[gpu]' (or the cupy build that fits your CUDA)"
        )
    try:
        import cupy
    except Exception as error:  # whatever a half-installed CUDA raises
        raise BackendUnavailableError(f"cupy: it cannot be imported: {error}") from error
    try:
        devices = cupy.cuda.runtime.getDeviceCount()
        if devices:
            cupy.empty(1)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendUnavailableError(
            f"cupy: the package is there, but no usable NVIDIA GPU or driver: {error}"
        ) from error
    if not devices:
        raise BackendUnavailableError("cupy: the package is there, but no NVIDIA GPU")
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:  # a missing library is a RuntimeError, an ImportError or an OSError
        raise BackendUnavailableError(
            f"cupy: NVIDIA's run-time compiler is missing ({error}); "
            "pip install 'cupy-cuda12x[ctk]' (or the cupy build that fits your CUDA)"
        ) from error
    return cupy  # type: ignore[no-any-return]
