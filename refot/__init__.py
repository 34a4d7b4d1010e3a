"""refot: the reference for entropic optimal transport and the generative models built on it."""

__version__ = "0.1.0"
