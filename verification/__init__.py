"""Verification of implementations of entropic optimal transport, other people's and refot's own.

A *subject* is the implementation that is verified. A *capability* is a function that a subject may
offer, such as `plan`, `softmin` or `unbalanced_value`; `subjects/capabilities.py` lists all of
them, with their arguments. A *part* is a named group of capabilities of a subject that belong
together, for instance one of its solvers; each part is verified on its own. A *case* is a problem
that is put to a subject. A *check* compares its answers with certified numbers, or with each other.
The *diagnosis* of a wrong answer names the known mistake that would give exactly this answer."""
