"""Right answers to 30 digits, each proved by ball arithmetic."""
