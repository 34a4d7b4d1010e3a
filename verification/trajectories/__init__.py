"""Recorded training steps, to which a port is compared."""
