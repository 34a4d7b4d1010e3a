"""Right answers to 30 digits and more, each proven in python-flint's balls (`arb`).

A ball is a midpoint and a radius, of any precision; an *enclosure* is a ball that is proven to
contain the true number."""
