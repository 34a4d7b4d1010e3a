"""Recorded training steps, with which somebody's port of an algorithm is compared.

The file of an algorithm is its *golden trajectory*: batches, initial weights, and the losses,
gradients and weights of each step."""
