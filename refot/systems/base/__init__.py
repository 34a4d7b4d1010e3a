"""What the systems share: networks with optimisers, and generators between two measures."""
