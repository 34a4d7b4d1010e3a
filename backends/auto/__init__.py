"""The default backend: a choice between the two of the processor, by the size of a problem."""
