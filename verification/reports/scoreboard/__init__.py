"""The scoreboard: reports of many libraries and versions, as a small static site.

A *record* is what is kept of the report on one version of a library. A *part* is a function of the
library, and a *capability*, such as `value`, what it computes. A *level* says how bad a result is
(`verification/runs/levels.py`). A *cell* of a table shows some results together."""
