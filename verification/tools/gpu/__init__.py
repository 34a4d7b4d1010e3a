"""What is run once on a machine with a GPU: parity, verification, benchmark."""
