"""What the solvers need where a marginal may be missed at a price: iteration, sides, gap."""
