"""2^(t k) without a branch, a table or a call, so that LLVM vectorises the loop around it.

Let n be the whole number nearest t k, and f = t k - n, in [-1/2, 1/2]. Then 2^(t k) = 2^n 2^f.
- n: adding 1.5 * 2^52 (float32: 1.5 * 2^23) to t k rounds it to a whole number, which is then in
  the low bits of the sum (`marked` below); subtracting the constant again gives n as a float.
- f: one fused multiply-add, t k - n, rounded once.
- 2^f: a polynomial 1 + f q(f), with q found by Remez's algorithm to make the relative error least.
- 2^n: n is added to the bits that hold the exponent.

The error, tested over the whole range, is at most 1.1 ulp for k = 1, in float64 and in float32. The
relative error of the polynomials is 2^-55.6 (float64, degree 11) and 2^-28.5 (float32, degree 6).
For another k the product t k is rounded only in f, by at most 2^-55 (2^-26), which adds 0.2 ulp. An
error of k itself comes from the caller, and is not counted. Without a fused multiply-add the error
is at most 1.3 ulp for k = 1, and t k is rounded like any product.
Results below 2^-1021.5 (float32: 2^-125.5) are 0: there are no subnormal results. The exponential
of -inf is 0, that of NaN is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from .compile import Number, add_exponent, elementwise, fma, implements, larger

# Coefficients of f^1 .. f^11 in float64, f^1 .. f^6 in float32. The constant term is 1: 2^0 = 1.
A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11 = (
    float.fromhex(c)
    for c in (
        "0x1.62e42fefa39f3p-1", "0x1.ebfbdff82c598p-3", "0x1.c6b08d7048f31p-5",
        "0x1.3b2ab6fba1e1cp-7", "0x1.5d87fe7bbbe07p-10", "0x1.4309130961163p-13",
        "0x1.ffcbee3b0af8cp-17", "0x1.62bfd49ed0adfp-20", "0x1.b54167a0b9061p-24",
        "0x1.e605f979c7a5dp-28", "0x1.c0638527edf34p-32",
    )
)
B1, B2, B3, B4, B5, B6 = (
    np.float32(c)
    for c in (0.6931472420692444, 0.24022652208805084, 0.055503103882074356,
              0.009617692790925503, 0.0013406643411144614, 0.00015594677824992687)
)


@elementwise
def _power64(f: Number) -> Number:
    """2^f for float64 f in [-1/2, 1/2].

    Even and odd powers are summed separately: two chains of multiply-adds run side by side, while
    by Horner's rule each of 11 would wait for the one before it."""
    f2 = f * f
    even = fma(f2, fma(f2, fma(f2, fma(f2, A10, A8), A6), A4), A2)
    odd = fma(f2, fma(f2, fma(f2, fma(f2, A11, A9), A7), A5), A3)
    return fma(f, fma(f, fma(f, odd, even), A1), 1.0)


@elementwise
def _power32(f: Number) -> Number:
    """2^f for float32 f in [-1/2, 1/2], by Horner's rule."""
    p = fma(f, fma(f, fma(f, B6, B5), B4), B3)
    return fma(f, fma(f, fma(f, p, B2), B1), np.float32(1))


def exp2_scaled(t: Number, k: Number) -> Number:
    """2^(t k) for t k <= 1023 (float32: 127); 0 below 2^-1021.5 (2^-125.5)."""
    raise NotImplementedError("compiled code only")


def exp2_bounded(t: Number, k: Number) -> Number:
    """2^(t k) for any t k; inf for t k > 1023.5 (float32: 127.5), 0 where `exp2_scaled` is."""
    raise NotImplementedError("compiled code only")


def _constants(number: Any) -> tuple[Any, ...]:
    """(the function for 2^f, 1.5 * 2^(bits of the mantissa), the least n, the largest n) for a
    Numba float type."""
    if number == types.float64:
        return _power64, np.float64(1.5 * 2.0**52), np.float64(-1021), np.float64(1023)
    return _power32, np.float32(1.5 * 2.0**23), np.float32(-125), np.float32(127)


def exp2_about(e: Number, s: Number) -> Number:
    """2^(e - s) for a whole s, |s| < 2^51 (float32: 2^22), and e - s <= 1023 (127).

    The subtraction adds no rounding: s is subtracted from the constant that rounds e to a whole
    number. Results that would be below 2^-1021 (2^-125) are 2^-1021 (2^-125), not 0."""
    raise NotImplementedError("compiled code only")


@implements(exp2_about)
def _exp2_about(e: Any, s: Any) -> Any:
    power, magic, lowest, _ = _constants(e)

    def implementation(e: Any, s: Any) -> Any:
        e = larger(e, s + lowest)
        marked = e + (magic - s)
        return add_exponent(power(e - (marked - (magic - s))), marked)

    return implementation


@implements(exp2_scaled)
def _exp2_scaled(t: Any, k: Any) -> Any:
    power, magic, lowest, _ = _constants(t)
    zero = magic - magic

    def implementation(t: Any, k: Any) -> Any:
        marked = fma(t, k, magic)
        n = marked - magic
        value = add_exponent(power(fma(t, k, -n)), marked)
        return zero if n < lowest else value  # in this order NaN stays NaN

    return implementation


@implements(exp2_bounded)
def _exp2_bounded(t: Any, k: Any) -> Any:
    _, magic, _, highest = _constants(t)
    infinity = type(magic)(np.inf)

    def implementation(t: Any, k: Any) -> Any:
        return infinity if fma(t, k, magic) - magic > highest else exp2_scaled(t, k)

    return implementation
