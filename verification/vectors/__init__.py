"""Certified test vectors: inputs and enclosures of the right answers, in JSON."""
