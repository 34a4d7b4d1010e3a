"""The gallery: every example runs, and finds what its page says; every peer does the same task."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from gallery import compare, draw, lines
from website.gallery_pages import entries

ROOT = Path(__file__).resolve().parents[2]
GALLERY = ROOT / "docs" / "gallery"
NEEDS = {"torch_training": ["torch", "sklearn"], "jax_training": ["jax"],
         "colour_transfer": ["sklearn", "PIL"], "domain_adaptation": ["sklearn"],
         "distance_matrix": ["sklearn"], "flow_matching": ["sklearn"]}
"""The packages of the extras `peers` and `data` that examples import."""

NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]\d+)?")


# ------------------------------------------------------------------ what an example must find
def colour_transfer(found: dict[str, Any]) -> None:
    """With exact marginals the mean colour is that of the palette."""
    means = [found[name].mean(axis=0) for name in ("pixels", "others", "exact", "free")]
    assert abs(means[2] - means[1]).max() < 0.02 < abs(means[3] - means[1]).max()


def domain_adaptation(found: dict[str, Any]) -> None:
    assert found["before"] < 0.7 < 0.85 < found["after"]


def gradient_flow(found: dict[str, Any]) -> None:
    assert found["S"] < 1e-4  # of 0.16 at the start
    assert found["flow"].shape == (41, 400, 2)


def matching_shapes(found: dict[str, Any]) -> None:
    R = found["R"]
    assert abs(R - found["turn"](50)).max() < np.deg2rad(1)
    np.testing.assert_allclose(R @ R.T, np.eye(2), atol=1e-12)


def outliers(found: dict[str, Any]) -> None:
    """A balanced plan pulls the good points aside; at the price rho it does not."""
    x, y, plans, step = (found[name] for name in ("x", "y", "plans", "mean_step"))
    aside, not_aside = (abs(step(plans[name], x, y)[0]) for name in ("balanced", "rho = 2"))
    assert not_aside < 0.1 < 0.5 < aside
    assert plans["rho = 2"][found["CLEAN"]:].sum() < 0.1 * 0.1


def distance_matrix(found: dict[str, Any]) -> None:
    """A divergence is positive and symmetric, and the digit of the nearest image is right."""
    S, digits = found["S"], found["digits"]
    assert (S >= -1e-9).all()
    np.testing.assert_array_equal(S, S.T)
    assert np.mean(digits[found["nearest"](S)] == digits) > 0.9


def torch_training(found: dict[str, Any]) -> None:
    loss, points = found["held_out"], found["points"]
    assert loss(found["after"], points) < 0.05 * loss(found["before"], points)


def jax_training(found: dict[str, Any]) -> None:
    """Each parameter comes at least five times as near to the true one."""
    path, true = found["path"], np.array(found["TRUE"])
    assert (abs(path[-1] - true) < abs(path[0] - true) / 5).all()


def entropic_map(found: dict[str, Any]) -> None:
    errors = list(found["errors"].values())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 3


def barycentric_interpolation(found: dict[str, Any]) -> None:
    """It begins at x, ends near y, and passes half of the way in the middle."""
    clouds = found["clouds"]
    np.testing.assert_array_equal(clouds[0], found["x"])
    np.testing.assert_allclose(clouds[2], (clouds[0] + clouds[4]) / 2, atol=1e-12)
    assert found["S"] < 1e-3  # from 0.02


def flow_matching(found: dict[str, Any]) -> None:
    """The bias is positive and falls with the size; the value of the whole is certified."""
    bias = list(found["bias"].values())
    assert bias == sorted(bias, reverse=True)
    assert bias[-1] > 0
    assert found["gap"].relative < 1e-6
    for P in found["plans"].values():
        np.testing.assert_allclose(P.sum(axis=(1, 2)), 1, atol=1e-6)


def single_cell(found: dict[str, Any]) -> None:
    """A price for marginals tells fates apart that exact marginals mix up."""
    right = [np.mean((found["titled"][title][0] > 0.5) == found["fates"][0])
             for title in ("exact marginals", "rho = 1")]
    assert right[0] < 0.6 < 0.9 < right[1]


FINDS: dict[str, Callable[[dict[str, Any]], None]] = {
    check.__name__: check for check in (
        colour_transfer, domain_adaptation, gradient_flow, matching_shapes, outliers,
        distance_matrix, torch_training, jax_training, entropic_map, barycentric_interpolation,
        flow_matching, single_cell)}


# ------------------------------------------------------------------ running them
@pytest.fixture
def quiet() -> Iterator[None]:
    """Without a window, and with settings put back afterwards."""
    torch = sys.modules.get("torch")  # not imported for this
    threads = torch.get_num_threads() if torch else 0
    with mpl.rc_context({"backend": "agg"}):
        from matplotlib import pyplot as plt

        yield
        plt.close("all")
    if torch:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", FINDS)
def test_an_example_runs_and_finds_what_its_page_shows(
    name: str, tmp_path: Path, quiet: None
) -> None:
    for package in NEEDS.get(name, []):
        pytest.importorskip(package)
    found, printed = copy_context().run(draw.run, name, tmp_path)  # it chooses a backend
    assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    FINDS[name](found)
    shown = (GALLERY / "pictures" / f"{name}.txt").read_text(encoding="utf-8")
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", shown)
    for one, other in zip(numbers(printed), numbers(shown), strict=True):
        assert one == pytest.approx(other, rel=0.1, abs=0.02)  # training depends on rounding


def numbers(text: str) -> list[float]:
    """The numbers in a text, in order."""
    return [float(found) for found in NUMBER.findall(text)]


# ------------------------------------------------------------------ the same elsewhere
CLOSE = {"pot": 1e-3, "ott": 1e-3, "geomloss": 0.2}
"""How far a peer's result may be from refot's, relatively. GeomLoss has no tolerance to set."""

OTHER_MAP = ("colour_transfer", "pot")
"""A new point is moved as its nearest neighbour is: another map, off by 3 %."""


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.parametrize("name", compare.EXAMPLES)
def test_peers_do_the_same_task(name: str, quiet: None) -> None:
    for package in ("ot", "ott", "geomloss", "torch", "sklearn"):
        pytest.importorskip(package)
    import jax

    with jax.enable_x64(True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of peers: about iterations, and about their own future
        found = {who: copy_context().run(run)[0] for who, run in compare.runs(name).items()}
    for who in found.keys() - {"refot"}:
        close = 0.05 if (name, who) == OTHER_MAP else CLOSE[who]
        assert compare.off(name, found[who], found["refot"]) < close, who


# ------------------------------------------------------------------ what the pages say of them
def test_every_example_is_short_and_in_the_gallery() -> None:
    files = {path.stem for path in GALLERY.glob("*.py")} - {"compare", "draw", "lines"}
    assert files == set(FINDS) == set(compare.EXAMPLES) == set(entries())
    for name, (title, said) in entries().items():
        text = (GALLERY / f"{name}.py").read_text(encoding="utf-8")
        assert text.startswith(f'"""{title}: {said}\n\n')
        assert 20 <= lines.of_file(text) <= 40
        picture = GALLERY / "pictures" / f"{name}.svg"
        assert picture.stat().st_size < 300_000
        assert "currentColor" in picture.read_text(encoding="utf-8")


def test_the_table_says_how_many_lines_each_takes() -> None:
    page = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (\d.*) \|$", page, re.MULTILINE))
    assert list(rows) == [name.replace("_", " ") for name in compare.EXAMPLES]
    for name, row in zip(compare.EXAMPLES, rows.values(), strict=True):
        cells = zip(["refot", *compare.PEERS], row.split(" | "), strict=True)
        shown = {who: int(cell.split(" ")[0]) for who, cell in cells if cell != "-"}
        assert shown == compare.lines_by_library(name)


def test_lines_are_counted_by_one_rule() -> None:
    text = ('"""Said."""\n\nimport numpy\n\n\ndef one(x):\n    """Said\n    twice."""\n    # why\n'
            "    import ast\n\n    y = two(x,\n            1)\n    return y\n\n\ndef two(x, k):\n"
            "    return three(x)\n\n\ndef three(x):\n    return x\n\n\nthree(1)\n")
    assert lines.of_function(text, "one") == 3 + 1  # three is called by the file, too
    assert lines.of_function(text, "two") == 1
    assert lines.of_file(text) == 1 + 3 + 2 + 2 + 1
