"""The CuPy backend as a module: what it says where it cannot run, and how it uses CuPy.

CuPy itself is a stand-in here: `strict_cupy`'s arrays, and a RawModule that compiles for the
processor. It gets the very source and options that the true one would.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_host import strict_cupy
from cuda_host.host import COMPILER, kernel_of

import refot
from refot.backend_contract import Backend, BackendUnavailableError
from refot.backends.cupy import backend as cupy_backend
from refot.backends.cupy.backend import CupyBackend
from refot.backends.cupy.sources import DEVICE_OPTIONS


class RawModule:
    """cupy.RawModule, compiled by g++ without the options that are for a device."""

    made: list[tuple[str, ...]] = []  # noqa: RUF012 - what was compiled, to be looked at

    def __init__(self, code: str, options: tuple[str, ...]) -> None:
        assert set(DEVICE_OPTIONS) < set(options)
        self.made.append(options)
        self.code = code
        self.options = tuple(option for option in options if option not in DEVICE_OPTIONS)

    def get_function(self, name: str) -> Any:
        names = re.findall(r"__launch_bounds__\(THREADS\)\s+(\w+)\(", self.code)
        return kernel_of(self.code, tuple(names), name, self.options)


class CUDARuntimeError(RuntimeError):
    """cupy.cuda.runtime.CUDARuntimeError."""


def no_driver() -> int:
    raise CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient")


def no_compiler() -> None:
    raise RuntimeError("CuPy failed to load libnvrtc.so.12")


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Puts a module in the place of CuPy."""

    def make(devices: Callable[[], int] = lambda: 1, compiler: Callable[[], Any] = tuple
             ) -> ModuleType:
        fake = ModuleType("cupy")
        vars(fake).update(vars(strict_cupy.namespace))
        fake.__spec__ = ModuleSpec("cupy", None)
        waits: list[str] = []
        stream = SimpleNamespace(synchronize=lambda: waits.append("waited"))
        vars(fake).update(
            RawModule=RawModule, waits=waits, cuda=SimpleNamespace(
                Device=lambda number=0: SimpleNamespace(
                    id=number, attributes={"MultiProcessorCount": 4}),
                get_current_stream=lambda: stream, nvrtc=SimpleNamespace(getVersion=compiler),
                runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError,
                                        getDeviceCount=devices)))
        monkeypatch.setitem(sys.modules, "cupy", fake)
        return fake

    return make


# ------------------------------------------------------------------ where it cannot run
def test_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy_backend, "find_spec", lambda name: None)
    with pytest.raises(BackendUnavailableError, match=r"^cupy: .*pip install"):
        CupyBackend()


def test_a_package_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cupy_backend, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setitem(sys.modules, "cupy", None)  # import then raises ImportError
    with pytest.raises(BackendUnavailableError, match="cannot be imported"):
        CupyBackend()


@pytest.mark.parametrize(("devices", "compiler", "says"), [
    (no_driver, tuple, "no usable NVIDIA GPU or driver: cudaErrorInsufficientDriver"),
    (lambda: 0, tuple, "no NVIDIA GPU"),
    (lambda: 1, no_compiler, "compiler is missing .*libnvrtc.* pip install"),
])
def test_no_gpu_no_driver_no_compiler(
    install: Any, devices: Any, compiler: Any, says: str
) -> None:
    install(devices, compiler)
    with pytest.raises(BackendUnavailableError, match=says):
        CupyBackend()


# ------------------------------------------------------------------ where it can
@pytest.mark.skipif(COMPILER is None and os.environ.get("CI") != "true",
                    reason="no g++ here; CI has one")
def test_it_computes_through_cupy(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = install()
    monkeypatch.setattr(CupyBackend, "threads", (2, 3))
    backend = CupyBackend()
    assert isinstance(backend, Backend)
    assert backend.xp is fake
    rng = np.random.default_rng(0)
    x, y, h = rng.normal(size=(9, 3)), rng.normal(size=(40, 3)), rng.normal(size=40)
    C = refot.point_cost(x, y)
    for _ in range(2):
        got = backend.softmin(C.with_arrays(backend.asarray), backend.asarray(h), 0.5)
    np.testing.assert_allclose(backend.to_numpy(got), refot.softmin(C, h, 0.5, backend="numpy"),
                               rtol=1e-13)  # sums of 40 terms in another order
    assert len(RawModule.made) == 1  # not one for each call, nor for each of its two kernels
    backend.synchronize()
    assert fake.waits == ["waited"]
