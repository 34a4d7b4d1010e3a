"""NVIDIA's compilers, neither of which needs a GPU: nvcc, and NVRTC from its pip package."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ARCHITECTURE = "sm_80"


def nvcc(source: str, options: tuple[str, ...]) -> tuple[bool, str]:
    """Compile with nvcc: (whether it succeeded, the compiler's messages)."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cu"
        file.write_text(source, encoding="utf-8")
        command = ["nvcc", *options, f"-arch={ARCHITECTURE}", "-cubin", "-o",
                   str(file.with_suffix(".cubin")), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr


def nvrtc(source: str, options: tuple[str, ...]) -> tuple[bool, str]:
    """Compile with NVRTC, as CuPy does: (whether it succeeded, the compiler's messages)."""
    library = _nvrtc()
    assert library is not None
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    arguments = [option.encode() for option in (*options, f"--gpu-architecture={ARCHITECTURE}")]
    status = library.nvrtcCompileProgram(program, len(arguments),
                                         (ctypes.c_char_p * len(arguments))(*arguments))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    return status == 0, log.value.decode()


@cache
def _nvrtc() -> ctypes.CDLL | None:
    """The library of one of NVIDIA's pip packages, or of the system."""
    for place in sys.path:
        for file in sorted(Path(place).glob("nvidia/*/lib/libnvrtc.so.*")):
            if "builtins" not in file.name and "alt" not in file.name:
                return ctypes.CDLL(str(file))
    try:
        return ctypes.CDLL("libnvrtc.so")
    except OSError:
        return None


COMPILERS = {
    "nvcc": (nvcc, shutil.which("nvcc") is not None, "no nvcc on the PATH"),
    "nvrtc": (nvrtc, _nvrtc() is not None, "no NVRTC: pip install 'refot[cuda-compile]'"),
}
"""Name -> (compiler, whether it is available, the reason to skip a test if it is not)."""
