"""The right subject in C: the translation-invariant loop in the log domain, called by ctypes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from refot.arrays import Array

from .solvers import Solver

SOURCE = r"""
#include <math.h>

/* out_i = -scale * log sum_j w_j exp((h_j - C_ij) / eps); C_ij = C[i * row + j * column] */
static void softmin(int n, int m, long row, long column, const double *C, const double *h,
                    const double *w, double eps, double scale, double *out) {
    for (int i = 0; i < n; i++) {
        double top = -INFINITY, sum = 0;
        for (int j = 0; j < m; j++) {
            double t = (h[j] - C[i * row + j * column]) / eps;
            if (w[j] > 0 && t > top) top = t;
        }
        for (int j = 0; j < m; j++)
            if (w[j] > 0) sum += w[j] * exp((h[j] - C[i * row + j * column]) / eps - top);
        out[i] = -scale * (top + log(sum));
    }
}

/* log sum_i w_i exp(-h_i / rho) */
static double log_mean(int n, const double *h, const double *w, double rho) {
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        if (w[i] > 0 && -h[i] / rho > top) top = -h[i] / rho;
    for (int i = 0; i < n; i++)
        if (w[i] > 0) sum += w[i] * exp(-h[i] / rho - top);
    return top + log(sum);
}

/* f and g until an iteration moves f by less than tol; 0, or 1 after `most` iterations. */
int unbalanced(int n, int m, const double *C, const double *a, const double *b, double eps,
               double rho, double tol, int most, double *f, double *g, double *old) {
    double scale = eps * rho / (rho + eps);
    for (int j = 0; j < m; j++) g[j] = 0;
    for (int i = 0; i < n; i++) f[i] = 0;
    for (int k = 0; k < most; k++) {
        double moved = 0, size = 0, t;
        for (int i = 0; i < n; i++) old[i] = f[i];
        softmin(n, m, m, 1, C, g, b, eps, scale, f);
        t = rho / 2 * (log_mean(n, f, a, rho) - log_mean(m, g, b, rho));
        for (int i = 0; i < n; i++) f[i] += t;
        softmin(m, n, 1, m, C, f, a, eps, scale, g);
        for (int i = 0; i < n; i++) {
            if (fabs(f[i] - old[i]) > moved) moved = fabs(f[i] - old[i]);
            if (fabs(f[i]) > size) size = fabs(f[i]);
        }
        if (moved <= tol * size) return 0;
    }
    return 1;
}
"""


@cache
def compiled() -> Solver:
    """(C, a, b, eps, rho) -> (f, g), compiled once. Raises NotImplementedError without a compiler.
    """
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise NotImplementedError("no C compiler here")
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "unbalanced.c"), Path(folder, "unbalanced.so")
        source.write_text(SOURCE, encoding="utf-8")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", library, source, "-lm"],
                       check=True, capture_output=True, timeout=60)
        function = ctypes.CDLL(str(library)).unbalanced
    vector = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")
    number, count = ctypes.c_double, ctypes.c_int
    function.argtypes = [count, count, vector, vector, vector, number, number, number, count,
                         vector, vector, vector]

    def solve(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        n, m = C.shape
        f, g, scratch = np.zeros(n), np.zeros(m), np.zeros(n)
        if function(n, m, C, a, b, eps, rho, 1e-13, 20_000, f, g, scratch):
            raise NotImplementedError("not there after 20000 iterations")
        return f, g

    return solve
