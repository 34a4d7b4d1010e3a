"""The tasks on which systems are trained: data, networks, measures and pictures."""
