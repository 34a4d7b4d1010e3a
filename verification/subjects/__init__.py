"""Everything that touches somebody else's code, and distrusts it."""
