"""The CuPy backend: fused operations in CUDA, the rest in CuPy."""
