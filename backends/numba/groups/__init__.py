"""Points in order act on each other by groups: what is far is left out, what is near is summed by
series."""
