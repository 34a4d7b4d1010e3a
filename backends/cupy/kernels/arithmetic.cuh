// The number type T (float or double) of a compilation, its exponential, maximum and fused sums.
//
// Compiled by NVRTC or nvcc for the device and, in the tests, by the host's C++ compiler: no CUDA
// header and no intrinsic is needed. REFOT_DOUBLE says which of the two types T is.

typedef long long Index;

#if REFOT_DOUBLE
typedef double T;
#define LARGEST 1.7976931348623157e308
#else
typedef float T;
#define LARGEST 3.402823466e38f
#endif

__device__ __forceinline__ T infinity() { return (T)__longlong_as_double(0x7ff0000000000000ll); }

// The larger of two numbers; in double, where no single instruction does it, a compare and select.
__device__ __forceinline__ float larger(float a, float b) { return fmaxf(a, b); }
__device__ __forceinline__ double larger(double a, double b) { return a > b ? a : b; }

__device__ __forceinline__ float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double fused(double a, double b, double c) { return fma(a, b, c); }

__device__ __forceinline__ float magnitude(float a) { return fabsf(a); }
__device__ __forceinline__ double magnitude(double a) { return fabs(a); }

__device__ __forceinline__ float root(float a) { return sqrtf(a); }
__device__ __forceinline__ double root(double a) { return sqrt(a); }

// 2^t in float: CUDA's exp2f, which with --ftz=true is the one instruction ex2.approx.ftz, within
// 2 ulp (CUDA's table of maximum errors). Below 2^-126 it is 0, of -inf 0, of NaN NaN.
__device__ __forceinline__ float power2(float t) { return exp2f(t); }

// 2^t in double, without a branch: t = n + f, n whole, |f| <= 1/2; 2^f by the polynomial 1 + f q(f)
// of degree 11, minimax for the relative error (2^-55.6; the same as the Numba backend's), by
// Horner's rule; 2^n is added to the exponent field. At most 1.1 ulp. Below 2^-1021.5 it is 0,
// above 2^1023.5 inf; of -inf 0, of NaN NaN.
__device__ __forceinline__ double power2(double t) {
    const double magic = 6755399441055744.0;  // 1.5 * 2^52: its sum with t ends in the bits of n
    const double marked = t + magic;
    const double n = marked - magic;
    const double f = t - n;
    double p = 0x1.c0638527edf34p-32;
    p = fma(f, p, 0x1.e605f979c7a5dp-28);
    p = fma(f, p, 0x1.b54167a0b9061p-24);
    p = fma(f, p, 0x1.62bfd49ed0adfp-20);
    p = fma(f, p, 0x1.ffcbee3b0af8cp-17);
    p = fma(f, p, 0x1.4309130961163p-13);
    p = fma(f, p, 0x1.5d87fe7bbbe07p-10);
    p = fma(f, p, 0x1.3b2ab6fba1e1cp-7);
    p = fma(f, p, 0x1.c6b08d7048f31p-5);
    p = fma(f, p, 0x1.ebfbdff82c598p-3);
    p = fma(f, p, 0x1.62e42fefa39f3p-1);
    p = fma(f, p, 1.0);
    // The low word of `marked` is n; the exponent field of p is in its high word.
    const int whole = (int)__double_as_longlong(marked);
    const double value =
        __longlong_as_double(__double_as_longlong(p) + ((long long)whole << 52));
    const double above = n < -1021.0 ? 0.0 : value;  // in this order NaN stays NaN
    return n > 1023.0 ? (double)infinity() : above;
}
