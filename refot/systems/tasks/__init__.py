"""What a system is trained on: data, networks, scores and pictures."""
