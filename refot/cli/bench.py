"""`refot bench`: the time that refot and other packages take to meet one criterion of accuracy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from refot.cli.shared import complaints, console, verification


def bench(
    full: Annotated[bool, typer.Option(
        "--full", help="Every size, for hours; else n = 1,000.")] = False,
    quick: Annotated[bool, typer.Option(
        "--quick", help="Only: some problems of every kind of work, in minutes; --only takes the "
                        "names of its parts.")] = False,
    peers: Annotated[str | None, typer.Option(
        metavar="A,B", help="Packages beside refot; see --list. Or module:attribute.")] = None,
    only: Annotated[list[str] | None, typer.Option(
        metavar="TEXT", help="Problems whose name has these words: \"gaussians n=1000\".")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Number of pairs of runs.")] = 5,
    time_limit: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.1, help="One run of a peer may take this long.")] = 60.0,
    memory_limit: Annotated[float, typer.Option(
        metavar="GIB", min=0.1, help="Memory of one peer, on Linux.")] = 12.0,
    threads: Annotated[int, typer.Option(
        min=1, help="Cores and threads of each peer [all].")] = os.cpu_count() or 1,
    data: Annotated[Path | None, typer.Option(help="Folder of MNIST's IDX files.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(
        help="Draw how many times refot's time each peer takes; the figure of half-iterations goes "
             "beside it, to NAME-half-iteration.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables to this file.")] = None,
    training: Annotated[bool, typer.Option(
        "--training", help="Only: steps of Info-Sinkhorn beside PyTorch's.")] = False,
    batch: Annotated[bool, typer.Option(
        "--batch", help="Only: many small problems at once, beside loops and batches.")] = False,
    unbalanced: Annotated[bool, typer.Option(
        "--unbalanced", help="Only: problems with rho, to a certified gap of 1e-6.")] = False,
    weak: Annotated[bool, typer.Option(
        "--weak", help="Only: half-iterations on a cluster, on more and more workers.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List peers and problems.")] = False,
) -> None:
    """Time refot beside POT, OTT-JAX, GeomLoss and others, until each meets one criterion.

    Exit status: 0, whoever is faster; 2 if the call was wrong.
    """
    command = verification("bench.command")
    if list_:
        command.print_list(console)
    elif training:
        command.print_training(console)
    elif batch:
        command.print_batches(console)
    elif weak:
        command.print_weak(console, json, plot)
    else:
        asked = command.BenchOptions("full" if full else "small", peers, tuple(only or ()), repeats,
                              time_limit, memory_limit, threads, data, json, plot, markdown)
        if quick:
            command.print_quick(asked, console, complaints)
        elif unbalanced:
            command.print_unbalanced(asked, console)
        else:
            command.run(asked, console, complaints)
