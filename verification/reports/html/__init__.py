"""The report as one HTML file. `verification/reports/__init__.py` says what a part, a level and the
other words of a report mean."""
