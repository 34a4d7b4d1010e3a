"""Reports of a run: on the terminal, as JSON and HTML, compared, and on the scoreboard."""
