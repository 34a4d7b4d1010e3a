"""The results of a run as a report: on the terminal, as JSON and HTML, compared, on a
scoreboard."""
