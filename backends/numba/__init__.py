"""The Numba backend: each operation of the contract as compiled, threaded loops."""
