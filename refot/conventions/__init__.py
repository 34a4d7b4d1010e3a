"""What "the value" and "the potentials" mean in each paper and library, and how to convert."""
