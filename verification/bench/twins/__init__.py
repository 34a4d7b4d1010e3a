"""The training steps of some systems in PyTorch with autograd, to compare times."""
