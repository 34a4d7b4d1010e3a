"""The scoreboard: reports of many libraries and versions, as a small static site."""
