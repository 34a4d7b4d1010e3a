"""Losses that a framework can differentiate: solved once, with gradients and Hessian products."""
