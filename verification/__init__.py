"""Verification of implementations of entropic optimal transport, other people's and refot's own.

A *subject* is the implementation that is verified. A *case* is a problem that is put to it. A
*check* compares its answers with certified numbers, or with each other. The *diagnosis* of a wrong
answer names the known mistake that would give exactly this answer."""
