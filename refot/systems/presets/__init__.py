"""Named settings, one file for each system: `refot train SYSTEM --preset NAME`."""
