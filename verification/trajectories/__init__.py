"""Recorded training steps, with which somebody's port of an algorithm is compared."""
