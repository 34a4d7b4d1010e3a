"""For developers, in the checkout and not in the wheel."""
