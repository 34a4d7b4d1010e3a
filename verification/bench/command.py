"""What `refot bench` does with its options: check them, run, print and write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from refot.arrays import InputError
from refot.files import write_text
from refot.plots.figures import as_figure_path, save_figure
from refot.terminal import foreign, plain

from . import batches, unbalanced, weak
from . import report as pages
from .child import RunLimits
from .figures import plot_half_iterations, plot_times
from .peers.table import DEFAULT, find_peer, known_peers
from .problems import GRIDS, grid
from .quick import report as quick_report
from .quick.parts import PARTS, parts
from .quick.rows import QuickReport, bench_quick
from .run import HALF, BenchReport, bench
from .training import lines


@dataclass(frozen=True)
class BenchOptions:
    """The options of `refot bench`: docs/command-line.md says what each does."""

    grid: str
    peers: str | None
    only: tuple[str, ...]
    repeats: int
    seconds: float
    gibibytes: float
    threads: int
    data: Path | None
    json: Path | None
    plot: Path | None
    markdown: Path | None


def run(asked: BenchOptions, console: Console, complaints: Console) -> None:
    """Run `refot bench` without a switch such as --weak: time the peers to equal accuracy, print
    the report and write its files. Raises InputError for a wrong option, before any work."""
    names = _names(asked, DEFAULT)
    for path in (asked.json, asked.markdown):
        _require_writable(path)
    figure = as_figure_path(asked.plot) if asked.plot is not None else None
    cells = grid(asked.grid, asked.data, asked.only)
    limits = RunLimits(asked.seconds, int(asked.gibibytes * 2**30), asked.threads)
    with Progress(TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
                  console=complaints, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def tell(cell: str, peer: str) -> None:
            bar.update(task, description=plain(f"{cell}: {peer}"))

        def keep(found: BenchReport) -> None:
            if asked.json is not None:
                pages.write_json(found, asked.json)
            if asked.markdown is not None:
                pages.write_markdown(found, asked.markdown)
            if figure is not None and found.cells:
                save_figure(plot_times(found, pages.MARGINAL), figure)
                halves = {rate.peer: rate.ratio for rate in found.throughput if rate.ratio}
                if halves:
                    save_figure(plot_half_iterations(halves),
                                figure.with_stem(f"{figure.stem}-half-iteration"))

        half = HALF if not asked.only or HALF.matches(asked.only) else None
        found = bench(cells, names, limits, asked.repeats, half, tell, keep)
    pages.print_report(found, console)


def _names(asked: BenchOptions, default: tuple[str, ...]) -> tuple[str, ...]:
    """The peers that were asked for. Raises UnknownNameError."""
    if asked.peers is None:
        return default
    names = tuple(name.strip() for name in asked.peers.split(",") if name.strip())
    for name in names:
        find_peer(name)
    return names


def _require_writable(path: Path | None) -> None:
    """Raise InputError where a report cannot be written."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError("file", f"{path}", "a file in a folder that exists")


def print_list(console: Console) -> None:
    """Print the peers, whether they are installed, and the problems of each grid."""
    table = Table("peer", "installed", "compared by default", pad_edge=False)
    for name, peer in known_peers().items():
        here = peer.version if peer.installed else "no"
        table.add_row(foreign(name), foreign(here), "*" if name in DEFAULT else "")
    console.print(table)
    for name in GRIDS:
        console.print(f"{name}: " + "; ".join(cell.name for cell in grid(name)), highlight=False)
    console.print("quick: " + "; ".join(PARTS), highlight=False)
    console.print("unbalanced: " + "; ".join(cell.name for cell in unbalanced.CELLS),
                  highlight=False)


def print_quick(asked: BenchOptions, console: Console, complaints: Console) -> None:
    """Run `refot bench --quick`, print its table and write its files. `asked.only` has names of
    its parts. Raises InputError for a wrong option, before any work."""
    unused = {"full": asked.grid == "full" or None, "peers": asked.peers, "data": asked.data,
              "plot": asked.plot}
    for name, given in unused.items():
        if given is not None:
            raise InputError(f"--{name}", f"{given}", "nothing with --quick, whose problems and "
                             "peers are fixed")
    for path in (asked.json, asked.markdown):
        _require_writable(path)
    chosen = parts(asked.only)
    with Progress(TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
                  console=complaints, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def keep(found: QuickReport) -> None:
            if asked.json is not None:
                quick_report.write_json(found, asked.json)

        found = bench_quick(chosen, lambda part: bar.update(task, description=part), keep)
    page = quick_report.markdown(found.as_dict())
    if asked.markdown is not None:
        write_text(asked.markdown, page)
    for line in page.splitlines():
        console.print(foreign(line), soft_wrap=True)


def print_training(console: Console) -> None:
    """Run `refot bench --training`: a line for each preset, printed as soon as it is measured."""
    for line in lines():
        console.print(foreign(line))


def print_batches(console: Console) -> None:
    """Run `refot bench --batch`: a table, each line printed as soon as it is measured."""
    for line in batches.lines():
        console.print(foreign(line), soft_wrap=True)


def print_weak(console: Console, json: Path | None, plot: Path | None) -> None:
    """Run `refot bench --weak`: half-iterations on a cluster, each line printed as soon as it is
    measured, and at the end the times that a fitted model predicts for larger clusters. Raises
    InputError for a wrong option, before any work."""
    _require_writable(json)
    figure = as_figure_path(plot) if plot is not None else None
    for line in weak.lines(json, figure):
        console.print(foreign(line) if "\n" not in line else line, soft_wrap=True)


def print_unbalanced(asked: BenchOptions, console: Console) -> None:
    """Run `refot bench --unbalanced`: a table, each line printed as soon as it is measured. Raises
    InputError for a wrong option, before any work."""
    names = _names(asked, tuple(unbalanced.OTHERS))
    _require_writable(asked.json)
    cells = unbalanced.cells_of(asked.only)
    limits = RunLimits(asked.seconds, int(asked.gibibytes * 2**30), asked.threads)
    for line in unbalanced.lines(cells, names, limits, asked.repeats, asked.json):
        console.print(foreign(line), soft_wrap=True)
