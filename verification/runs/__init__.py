"""The runs of all checks on a subject, in which it is called and the results are collected.

A *subject* is the implementation that is verified. Its *parts* are functions of it, each with the
*capabilities* that it offers, such as `plan` or `value` (`verification/subjects/`). A *case* is a
problem (`verification/cases/`), a *check* one comparison of answers to it (`verification/checks/`).
A *convention* says in which form a library returns its values (`refot/conventions/`), and a
*profile* how many cases a run has. `certify.py`, `certify_unbalanced.py`, `certificate_files.py`
and `verdict.py` are about another command, which judges a single value.
"""
