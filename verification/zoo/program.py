"""The right subject in C: Sinkhorn's algorithm in the log domain, called through ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from .solvers import Solver

SOURCE = r"""
#include <math.h>

/* out_i = -eps log sum_j w_j exp((h_j - C_ij) / eps); C_ij = C[i * row + j * column] */
static void transform(int n, int m, long row, long column, const double *C, const double *h,
                      const double *w, double eps, double *out) {
    for (int i = 0; i < n; i++) {
        double top = -INFINITY, sum = 0;
        for (int j = 0; j < m; j++) {
            double t = (h[j] - C[i * row + j * column]) / eps;
            if (w[j] > 0 && t > top) top = t;
        }
        for (int j = 0; j < m; j++)
            if (w[j] > 0) sum += w[j] * exp((h[j] - C[i * row + j * column]) / eps - top);
        out[i] = -eps * (top + log(sum));
    }
}

/* f and g to an L1 row error below tol; 0, or 1 if that takes more than `most` steps. */
int sinkhorn(int n, int m, const double *C, const double *a, const double *b, double eps,
             double tol, int most, double *f, double *g, double *next) {
    for (int j = 0; j < m; j++) g[j] = 0;
    transform(n, m, m, 1, C, g, b, eps, f);
    for (int k = 0; k < most; k++) {
        double error = 0;
        transform(m, n, 1, m, C, f, a, eps, g);
        transform(n, m, m, 1, C, g, b, eps, next);
        for (int i = 0; i < n; i++) {
            if (a[i] > 0) error += a[i] * fabs(exp((f[i] - next[i]) / eps) - 1);
            else f[i] = next[i];
        }
        if (error <= tol) return 0;
        for (int i = 0; i < n; i++) f[i] = next[i];
    }
    return 1;
}
"""


@cache
def compiled() -> Solver:
    """(C, a, b, eps) -> (f, g), compiled once. Raises NotImplementedError without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NotImplementedError("no C compiler here")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "sinkhorn.c"), Path(folder, "sinkhorn.so")
        source.write_text(SOURCE, encoding="utf-8")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-lm"],
                       check=True, capture_output=True, timeout=60)
        function = ctypes.CDLL(str(library)).sinkhorn
    vector = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")
    number, count = ctypes.c_double, ctypes.c_int
    function.argtypes = [count, count, vector, vector, vector, number, number, count, vector,
                         vector, vector]

    def solve(C: np.ndarray, a: np.ndarray, b: np.ndarray, eps: float) -> tuple[
        np.ndarray, np.ndarray
    ]:
        n, m = C.shape
        f, g, scratch = np.zeros(n), np.zeros(m), np.zeros(n)
        if function(n, m, np.ascontiguousarray(C), a, b, eps, 1e-11, 20_000, f, g, scratch):
            raise NotImplementedError("not there after 20000 iterations")
        return f, g

    return solve
