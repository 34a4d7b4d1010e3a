"""The default backend: it chooses NumPy or Numba by the size of a problem."""
