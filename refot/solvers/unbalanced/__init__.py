"""Unbalanced problems, whose marginals may be missed at a price: their methods, gap and result."""
