"""`refot warm`: compile every kernel once, so that no later run has to wait for it."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from refot.backend_contract import Compiled, backend_status, get_backend
from refot.cli.shared import console
from refot.terminal import foreign


def warm(
    everything: Annotated[bool, typer.Option(
        "--all", help="For every ground cost, not the squared distance and matrices alone.")]
    = False,
) -> None:
    """Compile the kernels of the compiled backend, once on a machine; they are kept on disk.

    It takes some minutes of processor time the first time, and seconds from then on. Without it
    each kernel is compiled when it is first used.
    """
    usable = (get_backend(status.name) for status in backend_status() if status.available)
    for backend in usable:
        if isinstance(backend, Compiled):
            _compile(backend, everything)


def _compile(backend: Compiled, everything: bool) -> None:
    """Compile the kernels of one backend, with a progress bar."""
    begin, steps = time.perf_counter(), backend.warm_up(everything)
    bar = Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TextColumn("{task.description}", markup=False), console=console, transient=True)
    with bar:
        task = bar.add_task("", total=len(steps))
        for name, compile_it in steps:
            bar.update(task, description=name)
            compile_it()
            bar.advance(task)
    console.print(foreign(f"{backend.name}: {len(steps)} kinds of kernels are compiled and on disk "
                          f"({time.perf_counter() - begin:.1f} s)"))
