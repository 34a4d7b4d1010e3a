"""What the Numba kernels need so that LLVM turns their inner loops into full-width vector code.

No equation here. An inner loop is vectorised when its iterations are independent or a sum that may
be reassociated, and when no index can wrap around (unsigned ones, or those of a `range`).
Decorators: `elementwise` for independent iterations, `reduction` for sums, `kernel` for what Python
calls (`called`: and is not kept on disk), `implements` for a function that depends on the types of
its arguments. Instructions without a name in Python: `fma`, `larger`, `add_exponent`, `full_width`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from llvmlite import ir
from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload

Function = TypeVar("Function", bound=Callable[..., Any])

ELEMENTWISE: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
"""Compile options: a * b + c may be rounded once; nothing is reordered."""

REDUCTION: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
"""The same, and the terms of a sum may be added in any order. Whatever must keep its order
(`exp2_scaled`) is compiled on its own as ELEMENTWISE and keeps its rounding where it is inlined."""

INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Of what only compiled code calls. (To make it callable from Python is a third of the time that
compilation takes; a call from Python would crash.)"""

elementwise: Callable[[Function], Function] = njit(**ELEMENTWISE, **INSIDE)
reduction: Callable[[Function], Function] = njit(**REDUCTION, **INSIDE)
called: Callable[[Function], Function] = njit(no_cfunc_wrapper=True, **ELEMENTWISE)

instruction: Callable[[Function], Any] = intrinsic


def implements(function: Callable[..., Any]) -> Callable[[Function], Function]:
    """The decorated function chooses, from Numba types, the code that `function` stands for."""
    chooser: Callable[[Function], Function] = overload(
        function, jit_options={**ELEMENTWISE, **INSIDE}, strict=False
    )
    return chooser


def variant(*of: Any) -> Callable[[Function], Function]:
    """The decorated inner function gets a name of its own, from the functions and numbers that it
    is made of.

    Two variants of one name and one type would be the same symbol in code kept on disk by different
    processes, and where one process loads both, one variant would be called for the other.
    """
    parts = "_".join(getattr(getattr(part, "py_func", part), "__qualname__", str(part))
                     for part in of)

    def rename(function: Function) -> Function:
        function.__qualname__ += f"_{parts}"
        return function

    return rename


_SOURCES = zlib.crc32(b"".join(
    file.read_bytes() for file in sorted(Path(__file__).parent.rglob("*.py"))
))


class _OwnCode(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel, which calls its own copies of the functions that are compiled into it.

    Numba leaves these copies visible to the linker, which takes the first of one name that the
    process has loaded. In the process that compiles, that is the function compiled alone, whose
    loops LLVM has vectorised otherwise than in the kernel, so that sums are added in another order;
    in a process that loads the kernel from disk there is nothing but the copies. The same call
    would have other last digits in the one than in the other.
    """

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage.name == "linkonce_odr":
                function.linkage = "internal"


class _KernelCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, with the library above."""

    def compile_extra(self, function: Any) -> Any:
        self.state.library = _OwnCode(self.state.targetctx.codegen(), function.__qualname__)
        self.state.library.enable_object_caching()  # as Numba does, before it is filled
        return super().compile_extra(function)


def kernel(function: Function) -> Function:
    """`function` compiled when first used, to run without the interpreter's lock (`launch`
    splits its rows), and kept on disk for other processes.

    The disk cache goes by a function's name and the time of its own file, so the name is given a
    checksum of all the files whose functions may be compiled into it.
    """
    function.__qualname__ += f"_{_SOURCES:08x}"
    compiler: Callable[[Function], Function] = njit(
        cache=True, nogil=True, no_cfunc_wrapper=True, pipeline_class=_KernelCompiler,
        **ELEMENTWISE
    )
    return compiler(function)


MANTISSA = {types.float32: 23, types.float64: 52}
"""Bits of the significand that are stored."""


@instruction
def full_width(typing_context: Any) -> Any:
    """Called first in a function: its loops use 512-bit registers where the processor has them.

    LLVM prefers 256 bits on most processors with AVX-512, which halves the rate of arithmetic.
    The attribute holds for one function, so the function is kept from being inlined into another.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        attributes = builder.function.attributes
        set.add(attributes, '"prefer-vector-width"="512"')  # its own add() knows no "key"="value"
        attributes.discard("alwaysinline")
        attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), generate


def _call(builder: Any, name: str, arguments: Any, flags: tuple[str, ...] = ()) -> Any:
    number = arguments[0].type
    declared: Any = ir.FunctionType(number, [number] * len(arguments))  # type: ignore[no-untyped-call]
    return builder.call(builder.module.declare_intrinsic(name, (number,), declared),
                        arguments, fastmath=flags)


@instruction
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor can. (Left to itself, LLVM shares the product
    of two such sums and rounds it.)"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "llvm.fmuladd", arguments)

    return a(a, a, a), generate


@instruction
def larger(typing_context: Any, a: Any, b: Any) -> Any:
    """max(a, b) for numbers that are not NaN: the one form that LLVM vectorises in a loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "llvm.maxnum", arguments, ("nnan", "nsz"))

    return a(a, a), generate


@instruction
def add_exponent(typing_context: Any, p: Any, marked: Any) -> Any:
    """p 2^n for a whole n held in the low bits of `marked`, added to the exponent field of p."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = arguments[0].type
        whole = ir.IntType(p.bitwidth)  # type: ignore[no-untyped-call]
        bits = [builder.bitcast(argument, whole) for argument in arguments]
        place = ir.Constant(whole, MANTISSA[p])  # type: ignore[no-untyped-call]
        exponent = builder.shl(bits[1], place)
        return builder.bitcast(builder.add(bits[0], exponent), number)

    return p(p, p), generate
