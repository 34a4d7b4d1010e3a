"""Decorators and instructions with which LLVM turns the kernels' inner loops into vector code.

No equation here. LLVM vectorises an inner loop whose iterations are independent, or form a sum that
may be added up in any order. It does so only if it sees that no index is negative, because in
Python a negative index counts from the end. So indices are those of a `range`, or unsigned
(`np.uintp`).

Decorators: `elementwise` is for functions whose loops have independent iterations, `reduction` for
sums. `kernel` is for functions that Python calls, `called` for such functions without a copy on
disk (for benchmarks). `implements` is for a function whose code depends on the types of its
arguments. Instructions of the processor that Python has no name for: `fma`, `larger`,
`add_exponent`. And `full_width`, which makes a function use the widest registers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from llvmlite import ir
from numba import njit, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload

Function = TypeVar("Function", bound=Callable[..., Any])

Number: TypeAlias = Any
"""A number inside a kernel, in the dtype of the cost unless a function says otherwise."""

ELEMENTWISE: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}
"""Compile options: a * b + c may become one multiply-add, rounded once; the order of operations is
kept."""

REDUCTION: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz"}}
"""Compile options of ELEMENTWISE, and the terms of a sum may be added in any order. `exp2_scaled`,
which relies on the order of its operations, is compiled as ELEMENTWISE: it keeps this order where
it is inlined into a sum."""

INSIDE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""Compile options of a function that only compiled code calls: without the wrappers for calls from
Python and C it compiles in two thirds of the time. A call from Python would crash."""

elementwise: Callable[[Function], Function] = njit(**ELEMENTWISE, **INSIDE)
reduction: Callable[[Function], Function] = njit(**REDUCTION, **INSIDE)
called: Callable[[Function], Function] = njit(no_cfunc_wrapper=True, **ELEMENTWISE)

instruction: Callable[[Function], Any] = intrinsic
"""Decorates a function that returns the LLVM code of an instruction, such as `fma`."""


def implements(function: Callable[..., Any]) -> Callable[[Function], Function]:
    """Decorates the implementation of `function`, which is a stub: given the Numba types of the
    arguments, it returns the Python function to compile in place of a call of the stub."""
    chooser: Callable[[Function], Function] = overload(
        function, jit_options={**ELEMENTWISE, **INSIDE}, strict=False
    )
    return chooser


def variant(*of: Any) -> Callable[[Function], Function]:
    """Decorates a function that a factory makes, and adds to its name the values it was made from.

    Otherwise two functions of one factory that take the same types would have the same symbol in
    compiled code, and a process that loads both from disk could call one in place of the other.
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
"""A checksum of all Python files of this backend: see `kernel`."""


class _OwnCode(JITCodeLibrary):  # type: ignore[misc]
    """The compiled code of a kernel, with private copies of the functions it calls, so that a call
    gives the same digits in every process.

    Numba leaves these copies visible to the linker, which resolves a name to the first function of
    that name that the process has loaded. In the process that compiles the kernel, this is the
    function as compiled on its own. There LLVM may have vectorised a loop in another way than in
    the copy, and adds up a sum in another order. A process that loads the kernel from disk has the
    copy alone. So the last digits would differ between the two processes.
    """

    def _optimize_final_module(self) -> None:
        super()._optimize_final_module()
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage.name == "linkonce_odr":
                function.linkage = "internal"


class _KernelCompiler(Compiler):  # type: ignore[misc]
    """Numba's compiler, changed only to put its code into an `_OwnCode`."""

    def compile_extra(self, function: Any) -> Any:
        """Compile `function`. Numba calls this method of its compiler."""
        self.state.library = _OwnCode(self.state.targetctx.codegen(), function.__qualname__)
        self.state.library.enable_object_caching()  # as Numba does; it must precede any code
        return super().compile_extra(function)


def kernel(function: Function) -> Function:
    """`function` compiled when it is first called, and kept on disk for other processes. It runs
    without the interpreter's lock, so that `launch` can run it on several threads.

    Numba finds a function on disk by its name and by the time of the file that defines it. It would
    miss a change in another file whose functions are compiled into the kernel. So a checksum of all
    files is made part of the name.
    """
    function.__qualname__ += f"_{_SOURCES:08x}"
    compiler: Callable[[Function], Function] = njit(
        cache=True, nogil=True, no_cfunc_wrapper=True, pipeline_class=_KernelCompiler,
        **ELEMENTWISE
    )
    return compiler(function)


MANTISSA = {types.float32: 23, types.float64: 52}
"""The number of bits of the significand that a float stores, by its Numba type."""


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
    """Code that calls the LLVM intrinsic `name`, whose arguments and result are of one type."""
    number = arguments[0].type
    declared: Any = ir.FunctionType(number, [number] * len(arguments))  # type: ignore[no-untyped-call]
    return builder.call(builder.module.declare_intrinsic(name, (number,), declared),
                        arguments, fastmath=flags)


@instruction
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once if the processor can. (Without it LLVM, where two sums share the
    product a * b, computes this product once, and rounds it.)"""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "llvm.fmuladd", arguments)

    return a(a, a, a), generate


@instruction
def larger(typing_context: Any, a: Any, b: Any) -> Any:
    """max(a, b) for numbers that are not NaN. Unlike other ways to write a maximum, LLVM vectorises
    this one in a loop."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _call(builder, "llvm.maxnum", arguments, ("nnan", "nsz"))

    return a(a, a), generate


@instruction
def add_exponent(typing_context: Any, p: Any, marked: Any) -> Any:
    """p 2^n, computed by adding n to the exponent bits of p. n is the whole number in the low bits
    of the float `marked`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = arguments[0].type
        whole = ir.IntType(p.bitwidth)  # type: ignore[no-untyped-call]
        bits = [builder.bitcast(argument, whole) for argument in arguments]
        place = ir.Constant(whole, MANTISSA[p])  # type: ignore[no-untyped-call]
        exponent = builder.shl(bits[1], place)
        return builder.bitcast(builder.add(bits[0], exponent), number)

    return p(p, p), generate
