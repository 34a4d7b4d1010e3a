"""Right answers to 30 digits, each proven in ball arithmetic of multiple precision."""
