"""The known mistakes, by family of capabilities."""
