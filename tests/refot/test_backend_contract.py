"""The choice of a backend and what a backend must offer: names, nesting, threads, third parties."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refot import backend_contract as contract
from refot import solve
from refot.arrays import TypeInputError, UnknownNameError
from refot.backend_contract import (
    Backend,
    BackendUnavailableError,
    backend_names,
    backend_status,
    formed_by,
    get_backend,
    left_out,
    prefers_softmin,
    prepared,
    recomputes,
    use_backend,
)
from refot.backends.numpy.backend import NumpyBackend
from refot.costs.operands import PointCost, point_cost

PARTS = ["name", "xp", "asarray", "to_numpy", "synchronize",
         "softmin", "plan_apply", "marginals", "plan_cost", "plan_cost_gradient", "plan_entries",
         "gibbs", "sweep"]


@pytest.fixture(autouse=True)
def _no_choice_made_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(contract.VARIABLE, raising=False)
    contract._load.cache_clear()
    yield
    contract._load.cache_clear()


class Renamed(NumpyBackend):
    """A third party's backend."""

    name = "theirs"


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers attributes of a made-up module under refot's entry-point group."""

    def add(**found: Any) -> None:
        module = ModuleType("their_package")
        vars(module).update(found)
        monkeypatch.setitem(sys.modules, "their_package", module)
        points = [EntryPoint(name, f"their_package:{name}", contract.ENTRY_POINTS)
                  for name in found]
        monkeypatch.setattr(contract, "entry_points",
                            lambda group: points if group == contract.ENTRY_POINTS else [])

    return add


# ------------------------------------------------------------------ what a backend offers
def test_every_backend_present_offers_the_whole_contract(backend: str) -> None:
    found = get_backend(backend)
    assert isinstance(found, Backend)
    assert found.name == backend
    assert get_backend(backend) is found
    array = found.asarray([1.0, 2.0])
    assert array.dtype == np.float64
    assert found.asarray(np.ones(2, np.float32)).dtype == np.float32
    assert type(found.xp.exp(array)) is type(array)
    found.synchronize()
    np.testing.assert_array_equal(found.to_numpy(found.xp.exp(array)), np.exp([1.0, 2.0]))


def test_every_backend_present_computes_a_plan_known_by_hand(backend: str) -> None:
    """Two points at distance 1 with masses 1/4, 3/4 and f = g = 0, eps = 1/2: P = ab exp(-2 c)."""
    found, q = get_backend(backend), np.exp(-2.0)
    points = found.asarray([[0.0], [1.0]])
    C = point_cost(points, points)
    F = found.asarray(0.5 * np.log([0.25, 0.75]))
    P = np.array([[1, 3 * q], [3 * q, 9]]) / 16
    V = np.array([[1.0, 2.0], [1.0, 5.0]])

    def check(got: Any, want: Any) -> None:
        np.testing.assert_allclose(found.to_numpy(got), want, rtol=1e-14)

    check(found.softmin(C, F, 0.5), -0.5 * np.log([0.25 + 0.75 * q, 0.25 * q + 0.75]))
    check(found.plan_apply(C, F, F, 0.5, found.asarray(V)), P @ V)
    assert found.plan_cost(C, F, F, 0.5) == pytest.approx(6 * q / 16, rel=1e-14)
    check(found.plan_cost_gradient(C, F, F, 0.5), [[-6 * q / 16], [6 * q / 16]])


@pytest.mark.parametrize("missing", PARTS)
def test_an_object_that_lacks_a_part_is_no_backend(missing: str) -> None:
    whole = NumpyBackend()
    assert isinstance(SimpleNamespace(**{p: getattr(whole, p) for p in PARTS}), Backend)
    partial = SimpleNamespace(**{p: getattr(whole, p) for p in PARTS if p != missing})
    with pytest.raises(TypeInputError, match="contract"):
        get_backend(partial)  # type: ignore[arg-type]


def test_what_a_backend_need_not_offer_has_defaults() -> None:
    """An object with the contract alone: its operand is the cost itself, and nothing is left out.
    """
    whole, a = NumpyBackend(), np.full(3, 1 / 3)
    theirs: Any = SimpleNamespace(**{part: getattr(whole, part) for part in PARTS})
    C = point_cost(a[:, None], a[:, None])
    assert prepared(theirs, C, a, a) is C
    assert left_out(theirs, C) == 0
    np.testing.assert_array_equal(formed_by(theirs, C).matrix, C.dense())
    assert not prefers_softmin(theirs, C, a, a, 1.0)
    assert not recomputes(theirs)
    assert recomputes(whole)


class Doubting(NumpyBackend):
    """A backend with an operand of its own kind, of whose sums it leaves a share out."""

    name = "doubting"

    def prepared(self, C: Any, a: Any, b: Any) -> Any:
        return PointCost(C.x.copy(), C.y, C.ground, C.scale)

    def left_out(self, C: Any) -> float:
        return 1e-3


def test_solve_hands_the_cost_to_the_backend_and_the_gap_allows_for_what_is_left_out() -> None:
    rng = np.random.default_rng(0)
    C, a = point_cost(rng.random((40, 2)), rng.random((40, 2))), np.full(40, 1 / 40)
    plain, doubted = (solve(C, a, a, 0.1, tol=1e-10, method="sinkhorn", certified=True, backend=on)
                      for on in (NumpyBackend(), Doubting()))
    np.testing.assert_array_equal(plain.g, doubted.g)
    assert plain.gap is not None
    assert doubted.gap is not None
    assert doubted.gap.lower <= plain.gap.lower <= plain.gap.upper <= doubted.gap.upper
    assert doubted.gap.absolute >= 0.1 * 1e-3  # eps times the share, in each of the two bounds


# ------------------------------------------------------------------ the choice
def test_without_a_choice_it_is_auto() -> None:
    assert get_backend().name == "auto"


def test_the_variable_picks_the_default_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOT_BACKEND", "numba")
    assert get_backend().name == "numba"
    monkeypatch.setenv("REFOT_BACKEND", "")
    assert get_backend().name == "auto"


def test_argument_beats_use_backend_beats_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOT_BACKEND", "numba")
    theirs = Renamed()
    with use_backend(theirs):
        assert get_backend() is theirs
        assert get_backend("numpy").name == "numpy"
    assert get_backend().name == "numba"


def test_use_backend_nests_and_is_undone_by_an_exception() -> None:
    theirs = Renamed()
    with use_backend("numba") as outer:
        assert outer.name == get_backend().name == "numba"
        with use_backend(theirs) as inner:
            assert inner is get_backend() is theirs
        assert get_backend() is outer
        with pytest.raises(ZeroDivisionError), use_backend(theirs):
            raise ZeroDivisionError
        assert get_backend() is outer
        with pytest.raises(UnknownNameError), use_backend("nosuch"):
            pass
        assert get_backend() is outer
    assert get_backend().name == "auto"


@pytest.fixture
def alone() -> Iterator[None]:
    """What a test chooses without `with` ends with it."""
    before = contract._chosen.get()
    yield
    contract._chosen.set(before)


@pytest.mark.usefixtures("alone")
def test_without_with_the_choice_holds_at_once() -> None:
    theirs = Renamed()
    use_backend("numba")
    assert get_backend().name == "numba"
    assert {status.name for status in backend_status() if status.default} == {"numba"}
    with use_backend(theirs):
        assert get_backend() is theirs
    assert get_backend().name == "numba"
    with pytest.raises(UnknownNameError):
        use_backend("nosuch")
    with pytest.raises(TypeInputError, match="backend: None"):
        use_backend(None)  # type: ignore[arg-type]
    assert get_backend().name == "numba"


@pytest.mark.usefixtures("alone")
def test_a_choice_that_was_kept_can_be_entered_later() -> None:
    """The end of the block brings back what stood before the call."""
    choice = use_backend("numba")
    use_backend("numpy")
    with choice as entered:
        assert entered.name == get_backend().name == "numba"
    assert get_backend().name == "auto"
    assert repr(choice) == "use_backend('numba')"


@pytest.mark.usefixtures("alone")
def test_a_decorated_function_has_the_choice_and_nothing_else_has() -> None:
    @use_backend("numba")
    def name_inside() -> str:
        return get_backend().name

    assert get_backend().name == "auto"
    use_backend(Renamed())
    assert name_inside() == "numba"
    assert get_backend().name == "theirs"
    assert name_inside.__name__ == "name_inside"


@pytest.mark.usefixtures("alone")
def test_a_choice_without_with_is_not_seen_by_other_threads() -> None:
    names = []
    use_backend("numba")
    thread = threading.Thread(target=lambda: names.append(get_backend().name))
    thread.start()
    thread.join()
    assert names == ["auto"]
    assert get_backend().name == "numba"


def test_each_thread_has_its_own_choice() -> None:
    names = {}
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        with use_backend(Renamed()):
            names["other"] = get_backend().name
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    names["this"] = get_backend().name
    with use_backend("numba"):
        names["this, chosen"] = get_backend().name
    done.set()
    thread.join()
    assert names == {"other": "theirs", "this": "auto", "this, chosen": "numba"}


# ------------------------------------------------------------------ what cannot be had
@pytest.mark.parametrize("name", ["nosuch", "NumPy", "numpy ", "refot.backends.numpy.backend"])
def test_unknown_name_says_what_there_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for choose in (lambda: get_backend(name), lambda: use_backend(name).__enter__()):
        with pytest.raises(UnknownNameError, match="auto, cupy, dask, numba, numpy") as raised:
            choose()
        assert repr(name) in str(raised.value)
    monkeypatch.setenv("REFOT_BACKEND", name)
    with pytest.raises(UnknownNameError, match="auto, cupy, dask, numba, numpy"):
        get_backend()


@pytest.mark.parametrize("thing", [3, NumpyBackend, object(), np])
def test_what_is_neither_a_name_nor_a_backend_is_refused(thing: Any) -> None:
    with pytest.raises(TypeInputError, match="contract"):
        get_backend(thing)


WITHOUT = """
import sys
sys.modules[{package!r}] = None  # as if it were not installed
import refot
from refot.backend_contract import BackendUnavailableError, backend_status, get_backend
try:
    get_backend({package!r})
except BackendUnavailableError as error:
    print(error)
print([s.available for s in backend_status() if s.name == {package!r}])
print(get_backend("numpy").name)
"""


@pytest.mark.parametrize("package", ["numba", "cupy"])
def test_missing_package_is_one_clear_error_and_the_rest_works(package: str) -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT.format(package=package)],
                          capture_output=True, text=True, check=True)
    *message, available, other = done.stdout.splitlines()
    assert "\n".join(message).startswith(package)
    assert "pip install" in done.stdout
    assert (available, other) == ("[False]", "numpy")


def test_import_of_refot_loads_no_backend() -> None:
    code = "import sys, refot; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "refot.backend_contract" in loaded
    assert not [m for m in loaded if m in {"numba", "cupy"} or m.startswith("refot.backends")]


# ------------------------------------------------------------------ third parties
def test_registered_backend_can_be_an_object_a_class_or_a_function(register: Any) -> None:
    theirs = Renamed()
    register(object_=theirs, class_=Renamed, function=lambda: theirs)
    assert {"class_", "function", "object_"} < set(backend_names())
    assert get_backend("object_") is get_backend("function") is theirs
    assert isinstance(get_backend("class_"), Renamed)
    with use_backend("object_"):
        assert get_backend() is theirs


def test_registered_backend_that_lacks_part_of_the_contract_is_refused(register: Any) -> None:
    register(broken=lambda: SimpleNamespace(name="broken"))
    with pytest.raises(BackendUnavailableError, match="broken"):
        get_backend("broken")
    (status,) = (s for s in backend_status() if s.name == "broken")
    assert not status.available
    assert "contract" in status.reason


# ------------------------------------------------------------------ the status
def test_status_tells_each_backend_once_with_a_reason_where_it_cannot_run(register: Any) -> None:
    def unavailable() -> Backend:
        raise BackendUnavailableError("absent: no device")

    register(absent=unavailable, theirs=Renamed)
    statuses = {status.name: status for status in backend_status()}
    assert list(statuses) == backend_names()
    assert statuses["numpy"].available
    assert statuses["theirs"].available
    assert statuses["absent"].reason == "absent: no device"
    for status in statuses.values():
        assert status.available == (status.reason == "")


def test_status_marks_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def default() -> list[str]:
        return [status.name for status in backend_status() if status.default]

    assert default() == ["auto"]
    monkeypatch.setenv("REFOT_BACKEND", "numba")
    assert default() == ["numba"]
    with use_backend("numpy"):
        assert default() == ["numpy"]
