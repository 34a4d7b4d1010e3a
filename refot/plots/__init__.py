"""Pictures of plans, clouds and training runs."""
