"""Builds the website of refot from the pages in docs/, the register of equations, and the code."""
