"""Variants of other methods, which `auto` does not use."""
