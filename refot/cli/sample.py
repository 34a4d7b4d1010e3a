"""`refot sample`: samples of a system that was trained, as a picture or as an array."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from refot.cli.shared import console
from refot.terminal import foreign


def sample(
    run: Annotated[Path, typer.Argument(help="The --out folder of `refot train`.")],
    n: Annotated[int, typer.Option(help="How many samples.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Seed of the draw.", min=0)] = 0,
    out: Annotated[Path, typer.Option(
        help="A picture (.png, .svg, .pdf), or an array (.npy).")] = Path("samples.png"),
) -> None:
    """Draw samples from the last checkpoint of a run.

    The same run, seed and number give the same samples. Images are drawn as a grid, points as dots.
    """
    from refot.plots.figures import save_figure
    from refot.plots.training import plot_samples
    from refot.systems.training.load import load_system

    samples = load_system(run).sample(n, np.random.default_rng(seed))
    if out.suffix == ".npy":
        np.save(out, samples)
    else:
        save_figure(plot_samples(samples), out)
    console.print(foreign(f"{out}: {n} samples of {run}"), soft_wrap=True)
