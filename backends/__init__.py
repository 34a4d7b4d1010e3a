"""The backends: one module each, loaded by name through `refot.backend_contract`."""
