"""What the systems share: networks with optimisers, and a generator with its task."""
