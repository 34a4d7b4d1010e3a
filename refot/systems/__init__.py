"""The systems of the papers, one file each, and the harness that trains them."""
