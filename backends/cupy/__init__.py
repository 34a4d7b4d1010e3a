"""The CuPy backend: sums over all pairs of points by CUDA kernels, the rest by CuPy."""
