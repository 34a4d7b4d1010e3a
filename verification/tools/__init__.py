"""Tools for developers: they are in the checkout, and not in the package that users install."""
