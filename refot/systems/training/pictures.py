"""The pictures of a run: samples, curves, and a page that shows both while the run goes on.

Unlike measures, pictures need not be the same when a run is killed and resumed. So they may depend
on the clock: they are left out on the way where looking at the run takes too much of its time.
"""

from __future__ import annotations

import html

import numpy as np

from refot.files import write_text
from refot.plots.curves import plot_curves
from refot.plots.figures import save_figure
from refot.plots.training import plot_samples
from refot.systems.registry import Illustrated, System
from refot.systems.training.folder import RunFolder

SAMPLES = 100
"""The number of samples in a picture."""

SHARE = 0.1
"""The part of a run's time that measures and pictures may take before pictures are left out."""

AGAIN = '<meta http-equiv="refresh" content="5">'
"""Makes a browser load the page again every five seconds."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
{again}
<meta name="viewport" content="width=device-width">
<title>{name}: {iteration} of {iterations}</title>
<style>
body {{ font: 16px/1.5 sans-serif; color-scheme: light dark; max-width: 60rem; margin: 1rem auto; }}
img {{ max-width: 100%; }}
</style>
<h1>{name}</h1>
<p>{iteration} of {iterations} iterations, {seconds:.0f} s of training.</p>
<h2>Samples after {iteration} iterations</h2>
<img src="{samples}" alt="what the system generates after {iteration} iterations">
<h2>Losses and measures</h2>
<img src="curves.png" alt="losses and measures against the iteration">
"""


def affordable(looked: float, trained: float, next_one: float) -> bool:
    """Whether a picture that takes `next_one` seconds may follow `looked` seconds of measures and
    pictures and `trained` seconds of training."""
    return looked + next_one <= SHARE * (looked + next_one + trained)


def draw(system: System, folder: RunFolder, iteration: int, iterations: int, seconds: float,
         rng: np.random.Generator) -> None:
    """Draw samples of the present state and the curves so far, and write the page of both, which
    reloads itself until the run is done."""
    name = f"samples-{iteration:09d}.png"
    samples = (system.picture(rng) if isinstance(system, Illustrated)
               else plot_samples(system.sample(SAMPLES, rng)))
    save_figure(samples, folder.path / name)
    save_figure(plot_curves(list(folder.rows())), folder.path / "curves.png")
    identity = folder.identity
    write_text(folder.path / "progress.html", PAGE.format(
        again=AGAIN if iteration < iterations else "", samples=name, iteration=iteration,
        iterations=iterations, seconds=seconds,
        name=html.escape(f"{identity.system} {identity.preset}, seed {identity.seed}")))
