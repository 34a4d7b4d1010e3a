"""What is right, by capability."""
