"""The backends, each in a folder of its own; `refot.backend_contract` loads one by its name."""
