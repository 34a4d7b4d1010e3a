"""Ground costs, and the operands that carry a cost through a computation."""
