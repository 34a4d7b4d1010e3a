"""The CUDA kernels on the processor: the same source, compiled by g++ with `device.hpp`.

`HostBackend` is the CuPy backend with another compiler and with the arrays of `strict_cupy`. So the
tests run every line of refot that a GPU would run, in Python and in CUDA.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from cuda_host import strict_cupy

from refot.backends.cupy.operations import FusedOperations, Kernel
from refot.backends.cupy.sources import Build, source

SHIM = Path(__file__).with_name("device.hpp")
OPERATIONS = ("softmin", "plan_apply", "plan_cost", "plan_cost_gradient")
KERNELS = ("softmin_parts", "softmin_merge", "plan_apply", "plan_cost", "plan_cost_gradient")
COMPILER = shutil.which("g++")


class HostBackend(FusedOperations):
    """The operations of the CuPy backend, computed by the processor on arrays like CuPy's."""

    name = "cuda-host"

    def __init__(self, threads: tuple[int, int] = (1, 1), multiprocessors: int = 1,
                 unrolled: tuple[int, ...] = ()) -> None:
        """`unrolled` are the dimensions with a kernel of their own. All others use the kernel for
        any dimension, which saves most of the compilations."""
        self.threads, self._multiprocessors, self._unrolled = threads, multiprocessors, unrolled

    @property
    def xp(self) -> ModuleType:
        return strict_cupy.namespace

    @property
    def multiprocessors(self) -> int:
        return self._multiprocessors

    def asarray(self, values: Any) -> Any:
        return self.xp.asarray(values)

    def to_numpy(self, array: Any) -> Any:
        return array.get() if isinstance(array, strict_cupy.ndarray) else np.asarray(array)

    def synchronize(self) -> None:
        """Nothing to wait for: a kernel has finished when it returns."""

    def kernel(self, operation: str, name: str, made: Build) -> Kernel:
        own = made if made.dimension in self._unrolled else replace(made, dimension=0)
        return kernel_of(source(*OPERATIONS), KERNELS, name, own.options)


@cache
def kernel_of(text: str, kernels: tuple[str, ...], name: str, options: tuple[str, ...]) -> Kernel:
    """The kernel `name` of the source `text`; `kernels` are the names of all kernels in it."""
    launch = library(text, kernels, options)[f"{name}_launch"]

    def run(grid: Any, block: Any, args: Any) -> None:
        triple = ctypes.c_uint * 3
        values = [np.array(a.data.ptr if isinstance(a, strict_cupy.ndarray) else a) for a in args]
        addresses = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        launch(triple(*grid), triple(*block), addresses)

    return run


@cache
def library(text: str, kernels: tuple[str, ...], options: tuple[str, ...]) -> ctypes.CDLL:
    """The compiled source, which is kept in the temporary folder for other processes."""
    lines = ['#include "device.hpp"', text, *(f"EXPORT({name})" for name in kernels)]
    unit = "\n".join(lines)
    command = [str(COMPILER), *options, "-O1", "-march=native", "-ffp-contract=off", "-shared",
               "-fPIC", "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-parameter",
               "-Werror", f"-I{SHIM.parent}", "-x", "c++", "-"]
    key = hashlib.sha256("\n".join([unit, SHIM.read_text(), *command]).encode()).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"refot-cuda-host-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{key[:32]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / path.name
            done = subprocess.run([*command, "-o", str(made)], input=unit, text=True,
                                  capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
            made.replace(path)
    return ctypes.CDLL(str(path))
