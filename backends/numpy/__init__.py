"""The NumPy backend: the readable one, to which the others are compared."""
