"""What developers run on a machine with a GPU: parity, verification and a benchmark."""
