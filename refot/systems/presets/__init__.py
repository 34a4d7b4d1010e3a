"""Settings under a name, one file a system: `refot train SYSTEM --preset NAME`."""
