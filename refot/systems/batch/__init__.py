"""Costs, plans and losses between two mini-batches."""
