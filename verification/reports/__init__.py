"""Reports of a run: on the terminal, as JSON and HTML, compared, and on the scoreboard. `rerun` has
the commands that repeat a run or one of its checks, which the terminal, HTML and scoreboard show.

A report is about a *subject*, the library that was verified. Its *parts* are functions of the
library; a part offers *capabilities*, such as `value`. A result is that of one check of one part on
one *case* (a problem). It has a *status*, such as passed or failed (STATUSES in `runs/run.py`), and
a *level*, which says how bad a failure is (`runs/levels.py`): wrong on an ordinary problem, silent
or said at an extreme one, or lax, if only bad input was not refused. The *diagnosis* is the known
mistake that explains a wrong answer.
"""
