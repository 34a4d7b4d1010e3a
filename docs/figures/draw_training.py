"""The picture of training.md: the curves of the run that the page shows.

    python docs/figures/draw_training.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from style import styled, themed

from refot.plots.curves import plot_curves
from refot.plots.figures import WIDTH, save_figure
from refot.systems.training.loop import Cadence, train

HERE = Path(__file__).parent

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, styled():
        train("classifier", "digits", folder, iterations=200, cadence=Cadence(measure_every=20))
        text = (Path(folder) / "metrics.jsonl").read_text(encoding="utf-8")
        figure = plot_curves([json.loads(line) for line in text.splitlines()])
        figure.set_size_inches(WIDTH + 0.8, 4.2)
        themed(save_figure(figure, HERE / "training-curves.svg"))
