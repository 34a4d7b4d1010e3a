"""`refot bench`: the time that refot and other packages need to reach the same accuracy.

A *peer* is a solver of refot or of another package. A *cell* is a problem of the grid. Every
*criterion* is a measure of accuracy that is computed here from a peer's answer, with a target. Each
peer is run at the loosest accuracy of its own that meets the criterion, in turn with refot.

    problems.py              the cells
    peers/                   an adapter for each peer
    criterion.py             what is measured on the answers
    worker.py, child.py      a process for each peer on each cell
    search.py, timing.py     the loosest accuracy; the runs in turn
    report.py, figures.py    tables, JSON, figures
    command.py               what `refot bench` does with its options

Other switches of the command compare other things: `batches.py`, `unbalanced.py`, `training.py` and
`weak.py` have a docstring each, and so has `machine.py`, which compares softmin with the most that
the processor can do.
"""
