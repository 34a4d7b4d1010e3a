"""`refot train`: train a system, with a progress bar and a summary at the end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from refot.cli.shared import complaints, console
from refot.systems.training.watcher import Watcher
from refot.terminal import complaint, foreign, plain

if TYPE_CHECKING:
    from refot.systems.training.loop import Outcome

LONGEST = 60
"""The text of losses beside the bar is cut to this number of characters."""


def train(
    system: Annotated[str | None, typer.Argument(help="What to train; see --list.")] = None,
    preset: Annotated[str | None, typer.Option(
        help="A set of hyper-parameters; see --list.")] = None,
    iterations: Annotated[int | None, typer.Option(help="Steps; by default the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(
        help="Seed of all random draws; by default 0.")] = None,
    backend: Annotated[str | None, typer.Option(
        help="What to compute with; see refot backends.")] = None,
    out: Annotated[Path | None, typer.Option(
        help="Folder of the run; by default runs/SYSTEM-PRESET-SEED.")] = None,
    resume: Annotated[bool, typer.Option(
        "--resume", help="Go on with the run in --out, from its last checkpoint.")] = False,
    data: Annotated[Path | None, typer.Option(
        help="Folder with the data, where a preset takes one.")] = None,
    checkpoint_seconds: Annotated[float, typer.Option(help="Time between checkpoints.")] = 60.0,
    measure_every: Annotated[int | None, typer.Option(
        help="Steps between measures and pictures; by default twenty in a run.")] = None,
    compare: Annotated[tuple[Path, Path] | None, typer.Option(
        help="Two folders of runs: set them side by side, with a picture if --out names one.")]
    = None,
    list_: Annotated[bool, typer.Option("--list", help="List systems and presets.")] = False,
) -> None:
    """Train a system of the papers: metrics, pictures, checkpoints in --out.

    Exit status: 0 done, 1 NaN or infinity or a full disk, 2 the call was wrong, 130 or 143 stopped
    by Ctrl-C or SIGTERM with a checkpoint.
    """
    from refot.datasets.scikit import DataUnavailableError
    from refot.systems.registry import presets
    from refot.systems.training import loop

    if list_:
        print_systems()
        return
    if compare is not None:
        print_compared(compare, out)
        return
    if system is None:
        raise typer.BadParameter("say what to train: `refot train SYSTEM --preset P`; or --list")
    if preset is None:
        raise typer.BadParameter(f"say which --preset of {system}: " + ", ".join(presets(system)))
    out = out or Path("runs") / f"{system}-{preset}-{seed or 0}"
    try:
        with Bar() as bar:
            outcome = loop.train(
                system, preset, out, iterations=iterations, seed=seed, backend=backend,
                settings=None if data is None else {"data": str(data)}, resume=resume,
                cadence=loop.Cadence(checkpoint_seconds, measure_every), watcher=bar)
    except (loop.DivergedError, DataUnavailableError, OSError) as error:
        complaints.print(complaint(error), soft_wrap=True)
        raise typer.Exit(1) from None
    for line in summary(outcome, out):
        console.print(foreign(line), soft_wrap=True)
    raise typer.Exit(0 if outcome.stopped_by is None else 128 + outcome.stopped_by)


def print_systems() -> None:
    """Print every system and its presets, with a sentence about each preset."""
    from refot.systems.registry import SYSTEMS, presets

    table = Table("system", "preset", "iterations", "what it is", pad_edge=False)
    for system in SYSTEMS:
        for name, preset in presets(system).items():
            table.add_row(*map(foreign, (system, name, preset.iterations, preset.about)))
    console.print(table)


def print_compared(folders: tuple[Path, Path], picture: Path | None) -> None:
    """Print a table of two runs: what they are, how far they have come, and their last losses and
    measures. With `picture`, also draw their curves in one figure."""
    from refot.plots.curves import plot_compared
    from refot.plots.figures import save_figure
    from refot.systems.training.compare import standing

    one, other = runs = [standing(folder) for folder in folders]
    table = Table("", pad_edge=False)
    for folder in folders:
        table.add_column(foreign(str(folder)))
    table.add_row("run", *(foreign(f"{run.identity.system} {run.identity.preset}, "
                                   f"seed {run.identity.seed}, {run.identity.backend}")
                           for run in runs))
    table.add_row("iterations", *(f"{run.iteration:,}" for run in runs))
    table.add_row("seconds of steps", *(f"{run.seconds:.1f}" for run in runs))
    for kind, mine, theirs in (("loss: ", one.losses, other.losses),
                               ("", one.measures, other.measures)):
        for name in dict.fromkeys([*mine, *theirs]):
            table.add_row(foreign(kind + name), *map(number, (mine.get(name), theirs.get(name))))
    console.print(table)
    if picture is not None:
        names = dict(zip(map(str, folders), (run.rows for run in runs), strict=True))
        console.print(foreign(f"{save_figure(plot_compared(names), picture)}"), soft_wrap=True)


def number(value: float | None) -> str:
    """A loss or a measure to four digits; a dash for one that is not there, or not finite."""
    return "-" if value is None else f"{value:.4g}"


def summary(outcome: Outcome, out: Path) -> list[str]:
    """A few lines that say how a run ended."""
    run = outcome.identity
    per_step = 1000 * outcome.seconds / max(1, outcome.iteration)
    lines = [f"{run.system} {run.preset}, seed {run.seed}, {run.backend}: {outcome.iteration} of "
             f"{outcome.iterations} iterations, {outcome.seconds:.1f} s ({per_step:.3g} ms a step)"]
    lines += [f"  {kind}: {in_words(values)}" for kind, values in
              (("losses", outcome.losses), ("measures", outcome.measures)) if values]
    if outcome.stopped_by is not None:
        lines.append(f"stopped by {outcome.stopped_by.name}; --resume --out {out} goes on from "
                     f"{outcome.checkpoint.name}")
    else:
        lines.append(f"in {out}: report.json, metrics.jsonl, progress.html, curves.png, "
                     f"samples-*.png, {outcome.checkpoint.name}")
    return lines


def in_words(values: Mapping[str, float | None]) -> str:
    """Losses or measures as text, to four digits."""
    return ", ".join(f"{name} {'not finite' if value is None else f'{value:.4g}'}"
                     for name, value in values.items())


class Bar(Watcher):
    """A bar with the losses and the time left; it prints a line whenever measures are taken."""

    def __init__(self) -> None:
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TimeRemainingColumn(), TextColumn("{task.fields[losses]}", markup=False),
            console=console, transient=True)
        self.task = self.progress.add_task("making", total=None, losses="")

    def __enter__(self) -> Bar:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.progress.stop()

    def begins(self, iteration: int, iterations: int) -> None:
        self.progress.reset(self.task, description="training", total=iterations,
                            completed=iteration)
        if iteration:
            self._say(f"going on from iteration {iteration}")

    def stepped(self, iteration: int, losses: Mapping[str, float]) -> None:
        self.progress.update(self.task, completed=iteration,
                             losses=plain(in_words(losses))[:LONGEST])

    def measured(self, iteration: int, measures: Mapping[str, float | None]) -> None:
        self._say(f"iteration {iteration}: {in_words(measures)}")

    def _say(self, line: str) -> None:
        self.progress.console.print(foreign(line), soft_wrap=True)
