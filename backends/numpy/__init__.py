"""The NumPy backend: the one to read, and the one that tests compare the others to."""
