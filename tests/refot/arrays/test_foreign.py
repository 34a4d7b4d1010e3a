"""Arrays of any kind: every function of the face is fed every kind, and gives the right kind back.

The calls are those of `every_equation`. A call is right where its numbers are those of NumPy's
arrays; of arrays of another library the results are arrays of that library, on the same device.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from every_equation import CALLS, INPUTS, World, arrays
from scipy.sparse import csr_array

import refot
from refot.arrays import InputError, TypeInputError, WeightError
from refot.foreign import as_given, origin

try:  # the `peers` extra
    import jax
    import torch
except ImportError:
    torch = jax = None

frameworks = pytest.mark.skipif(torch is None, reason="needs torch and jax: the `peers` extra")

NUMPY = refot.get_backend("numpy")

EVERY = CALLS | {"exact": lambda w: refot.exact(*w.matrix[:3]).value,
                 "kantorovich": lambda w: refot.kantorovich(*w.matrix[:3])[0]}
"""The call of every function of the face; a linear programme is solved on the host alone."""


@dataclass(frozen=True)
class Fed(World):
    """The inputs as arrays of one kind, on the backend `numpy`."""

    as_kind: Callable[[np.ndarray], Any]

    def __getattr__(self, name: str) -> Any:
        return self.as_kind(INPUTS[name])


@dataclass(frozen=True)
class Kind:
    """How NumPy's arrays become those of a kind, and the name of the library that comes out."""

    of: Callable[[np.ndarray], Any]
    library: str = "numpy"
    within: Callable[[], AbstractContextManager[Any]] = nullcontext


def strided(array: np.ndarray) -> np.ndarray:
    """The same numbers, every second of an array twice as long along each axis."""
    for axis in range(array.ndim):
        array = np.repeat(array, 2, axis=axis)
    return array[tuple(slice(None, None, 2) for _ in range(array.ndim))]


def read_only(array: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to."""
    array = array.copy()
    array.flags.writeable = False
    return array


def transposed_tensor(array: np.ndarray) -> Any:
    """A tensor whose memory holds the transpose."""
    return torch.tensor(np.ascontiguousarray(array.T)).T if array.ndim == 2 else torch.tensor(array)


KINDS = {
    "list": Kind(np.ndarray.tolist),
    "strided": Kind(strided),
    "Fortran order": Kind(np.asfortranarray),
    "read-only": Kind(read_only),
    "big-endian": Kind(lambda array: array.astype(array.dtype.newbyteorder(">"))),
    "pandas": Kind(lambda array: (pd.Series if array.ndim == 1 else pd.DataFrame)(array)),
    "polars": Kind(lambda array: (pl.Series if array.ndim == 1 else pl.DataFrame)(array)),
}
if torch is not None:
    KINDS |= {
        "torch": Kind(lambda array: torch.tensor(array.copy()), "torch"),
        "torch, transposed": Kind(transposed_tensor, "torch"),
        "jax": Kind(lambda array: jax.numpy.asarray(array), "jaxlib",
                    lambda: jax.enable_x64(True)),
    }

KEEP_NUMPY = {"informative_cost", "normalised", "point_cost", "pairwise", "solve_batch"}
"""The first three return an operand, which holds what is computed with, NumPy's arrays; the calls
of the last two make them so."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_every_function_takes_every_kind_and_gives_it_back(name: str, kind: str) -> None:
    expected = arrays(EVERY[name](World(NUMPY)))
    with KINDS[kind].within():
        found = arrays(EVERY[name](Fed(NUMPY, KINDS[kind].of)))
        for result, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.asarray(result), right, rtol=1e-11, atol=1e-12)
            if isinstance(right, np.ndarray):
                library = "numpy" if name in KEEP_NUMPY else KINDS[kind].library
                assert type(result).__module__.split(".")[0] == library


def test_nullable_numbers_of_pandas_are_numbers_unless_one_is_missing() -> None:
    C, counts = np.arange(12.0).reshape(4, 3), np.arange(1, 5)
    frame, column = pd.DataFrame(C).astype("Float64"), pd.Series(counts, dtype="Int64")
    found = refot.solve(frame, column, None, 1.0, normalise=True)
    np.testing.assert_array_equal(found.f, refot.solve(C, counts, None, 1.0, normalise=True).f)
    with pytest.raises(InputError, match=r"C: nan at \[3, 0\]"):
        refot.solve(frame.mask(frame == 9), None, None, 1.0)
    with pytest.raises(TypeInputError, match="C: dtype object"):
        refot.solve(frame.assign(words="a"), None, None, 1.0)


REFUSED = {
    "complex": lambda array: array.astype(complex),
    "objects": lambda array: array.astype(object) * 1j,
    "masked": lambda array: np.ma.masked_array(array, mask=np.arange(array.size).reshape(
        array.shape) == 0),
    "sparse": lambda array: csr_array(np.atleast_2d(array)),
    "words": lambda array: array.astype(str),
}
if torch is not None:
    REFUSED |= {
        "complex tensor": lambda array: torch.tensor(array + 0j),
        "sparse tensor": lambda array: torch.tensor(array.copy()).to_sparse(),
        "tensor that requires grad": lambda array: torch.tensor(
            array.astype(float), requires_grad=True),
    }


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("name", EVERY)
def test_every_function_refuses_what_is_no_array_of_numbers(name: str, kind: str) -> None:
    with pytest.raises(InputError):
        EVERY[name](Fed(NUMPY, REFUSED[kind]))


# ------------------------------------------------------------------ the errors say what to do
@frameworks
def test_a_tensor_that_requires_grad_is_sent_to_refot_torch() -> None:
    x = torch.ones(3, 2, requires_grad=True)
    with pytest.raises(TypeInputError, match=r"^x: a tensor that requires grad; .*refot\.torch"):
        refot.point_cost(x, x)


@frameworks
def test_a_traced_array_is_sent_to_refot_jax() -> None:
    x = jax.numpy.ones((3, 2))
    with pytest.raises(TypeInputError, match=r"^x: a traced array.*refot\.jax"):
        jax.grad(lambda x: refot.sinkhorn_divergence(x, None, x, None, 1.0))(x)


def test_a_sparse_cost_is_told_how_to_become_dense() -> None:
    with pytest.raises(TypeInputError, match=r"^C: a sparse array; .*C\.toarray\(\)"):
        refot.solve(csr_array(np.eye(2)), None, None, 1.0)


# ------------------------------------------------------------------ dtypes
@pytest.mark.parametrize(("dtype", "computed"), [
    ("int8", "float64"), ("uint32", "float64"), ("bool", "float64"), ("float16", "float32"),
    (">f4", "float32"), ("float32", "float32")])
def test_each_dtype_is_computed_in_one_of_two(dtype: str, computed: str) -> None:
    found = refot.solve(np.array([[0, 1], [1, 1]], dtype), None, None, 1.0)
    assert found.f.dtype == computed
    assert found.f.dtype.isnative


@frameworks
def test_bfloat16_is_computed_in_float32() -> None:
    """Of torch, and of JAX, whose arrays NumPy sees as a dtype of another library."""
    C = np.array([[0.0, 1.0], [1.0, 0.5]])
    right = refot.solve(C.astype(np.float32), None, None, 1.0).f
    for found in (refot.solve(torch.tensor(C, dtype=torch.bfloat16), None, None, 1.0).f,
                  refot.solve(jax.numpy.asarray(C, jax.numpy.bfloat16), None, None, 1.0).f):
        assert "float32" in str(found.dtype)
        np.testing.assert_array_equal(np.asarray(found), right)


@frameworks
def test_what_is_kept_in_an_operand_or_a_measure_comes_back_as_it_was_given() -> None:
    x = torch.arange(6.0).reshape(3, 2)
    assert isinstance(refot.solve(refot.point_cost(x, x), None, None, 1.0).f, torch.Tensor)
    assert isinstance(refot.solve(refot.DenseCost(x), None, None, 1.0).g, torch.Tensor)
    assert isinstance(refot.measure(x).weights, torch.Tensor)
    assert isinstance(refot.measure(x).merged().points, torch.Tensor)


@frameworks
def test_a_result_answers_in_the_arrays_of_its_problem() -> None:
    """Its methods compute with NumPy's, from potentials that are tensors."""
    x, y = torch.arange(8.0).reshape(4, 2), torch.arange(6.0).reshape(3, 2)
    found = refot.solve(refot.point_cost(x, y), None, None, 5.0)
    same = refot.solve(refot.point_cost(x.numpy(), y.numpy()), None, None, 5.0)
    assert found.value() == same.value()
    for tensor, array in ((found.plan(), same.plan()), (found.transform(x), same.transform(x)),
                          (found.barycentric_map(), same.barycentric_map())):
        assert isinstance(tensor, torch.Tensor)
        np.testing.assert_array_equal(tensor, array)
    free = refot.solve(refot.point_cost(x, y), torch.ones(4), torch.ones(3), 5.0, rho=2.0)
    assert isinstance(free.plan(), torch.Tensor)


@frameworks
def test_many_problems_at_once_come_back_as_they_were_given() -> None:
    x, C = torch.arange(8.0).reshape(4, 2), torch.arange(12.0).reshape(2, 3, 2)
    assert isinstance(refot.pairwise([x, x[:2]], 5.0), torch.Tensor)
    assert isinstance(refot.solve_batch(C, None, None, 1.0).f, torch.Tensor)
    ragged = refot.solve_batch([C[0], C[1][:2]], None, None, 1.0)
    assert all(isinstance(g, torch.Tensor) for g in ragged.g)
    assert isinstance(ragged[1].plan(), torch.Tensor)


def test_only_the_outermost_call_gives_arrays_back() -> None:
    """What is computed inside stays NumPy's: a function of refot that calls another one."""
    torch = pytest.importorskip("torch")

    @as_given
    def outer(x: Any) -> Any:
        inner = as_given(lambda y: np.asarray(y))(x)
        assert isinstance(inner, np.ndarray)
        return inner

    assert isinstance(outer(torch.ones(2)), torch.Tensor)


def test_numpys_own_arrays_have_no_origin() -> None:
    for value in (np.ones(2), np.float64(1), [1.0], 1.0, None, np.ndarray, pd.Series([1.0])):
        assert origin(value) is None


# ------------------------------------------------------------------ weights
CLOUD = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("call", [
    lambda a, b: refot.solve(CLOUD, a, b, 1.0).g,
    lambda a, b: refot.entropic_value(CLOUD, a, b, 1.0),
    lambda a, b: refot.mmd_squared_gradient(CLOUD, a, CLOUD[:2], b),
    lambda a, b: refot.sinkhorn_divergence_gradient_weights(CLOUD, a, CLOUD[:2], b, 1.0),
    lambda a, b: refot.c_transform(np.zeros(2), CLOUD, b),
    lambda a, b: refot.kantorovich(CLOUD, a, b)[0],
    lambda a, b: refot.scaling_loss(CLOUD, a, b, 1.0, 3),
    lambda a, b: refot.kl_from_product(np.full((3, 2), 1 / 6), a, b),
    lambda a, b: refot.measure(CLOUD, a).weights,
])
def test_weights_none_are_uniform(call: Callable[..., Any]) -> None:
    np.testing.assert_allclose(call(None, None), call(np.full(3, 1 / 3), np.full(2, 1 / 2)),
                               rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_that_are_right_but_for_rounding_are_normalised(dtype: str) -> None:
    """A sum is judged in the precision of the weights, the problem stays in its own."""
    a = np.random.default_rng(0).dirichlet(np.ones(300)).astype(dtype)
    assert abs(a.sum(dtype=float) - 1) > 1e-10
    C = np.random.default_rng(1).random((300, 2))
    exact = a.astype(float) / a.sum(dtype=float)
    found = refot.entropic_value(C, a, None, 1.0)
    assert found == pytest.approx(refot.entropic_value(C, exact, None, 1.0), rel=1e-14)


def test_a_sum_that_is_wrong_is_told_by_how_much_and_what_to_write() -> None:
    with pytest.raises(WeightError, match=r"^a: sum 1\.01, off by 0\.01; .*a / a\.sum\(\)"):
        refot.solve(np.eye(2), [0.5, 0.51], None, 1.0)


def test_counts_are_normalised_on_request() -> None:
    C, counts = np.arange(6.0).reshape(2, 3), [3, 1, 0]
    right = [0.75, 0.25, 0.0]
    assert refot.entropic_value(C, [1, 1], counts, 1.0, normalise=True) == (
        refot.entropic_value(C, [0.5, 0.5], right, 1.0))
    np.testing.assert_array_equal(
        refot.solve(C, None, counts, 1.0, normalise=True).g, refot.solve(C, None, right, 1.0).g)
    np.testing.assert_array_equal(
        refot.measure(CLOUD, counts, normalise=True).weights, right)
    x, y = CLOUD[:2], CLOUD
    assert refot.sinkhorn_divergence(x, None, y, counts, 1.0, normalise=True) == (
        refot.sinkhorn_divergence(x, None, y, right, 1.0))
    with pytest.raises(WeightError, match=r"^b: sum 0\.0; allowed: a finite sum > 0"):
        refot.solve(C, None, [0, 0, 0], 1.0, normalise=True)


COUNTS = {name: 4 * INPUTS[name] for name in ("a", "b", "zeta")}
MASSES = {"kl_from_product", "unbalanced"}
"""Functions of masses, which may have any total, by how their names begin."""
TAKE_WEIGHTS = [name for name in EVERY if not name.startswith(tuple(MASSES)) and
                {"a", "b", "measures"} & set(inspect.signature(getattr(refot, name)).parameters)
                and name != "solve_unbalanced_divergence"]


@dataclass(frozen=True)
class Counted(World):
    """The inputs, with counts for weights."""

    def __getattr__(self, name: str) -> Any:
        return COUNTS[name] if name in COUNTS else INPUTS[name]


@pytest.mark.parametrize("name", TAKE_WEIGHTS)
def test_every_function_of_weights_takes_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times the weights, a power of 2, are the weights again when they are divided by their
    sum, but for its rounding. A table of costs to the first of `pairwise` has no weights."""
    expected = arrays(EVERY[name](World(NUMPY)))
    monkeypatch.setattr(refot, name, partial(getattr(refot, name), normalise=True))
    found = arrays(EVERY[name](Counted(NUMPY)))
    for result, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-9, atol=1e-11)


def test_the_table_has_every_function_of_the_face() -> None:
    """But those that take no array: a file, a backend by its name."""
    functions = {name for name in refot.__all__ if inspect.isfunction(getattr(refot, name))}
    assert functions - set(EVERY) == {"backend_status", "get_backend", "load_solution"}
    assert set(EVERY) <= functions


@frameworks
def test_a_warm_start_of_another_library_is_understood() -> None:
    """What a step in torch has found serves as the start of one with NumPy's arrays: the results
    are torch's, as those of any other call with an argument of torch."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 2))
    step = partial(refot.sinkhorn_divergence_value_and_gradient, a=None, b=None, eps=0.5)
    found = step(x, y=y, warm=step(torch.tensor(x), y=torch.tensor(y)))
    assert isinstance(found.gradient.x, torch.Tensor)
    np.testing.assert_allclose(found.gradient.x, step(x, y=y).gradient.x, rtol=1e-12, atol=1e-14)


# ------------------------------------------------------------------ what is imported
def test_no_library_is_imported_that_the_caller_has_not_imported() -> None:
    """A solve of NumPy's arrays: array_api_compat itself is not needed for them."""
    code = ("import sys, numpy, refot; refot.solve(numpy.eye(2), None, None, 1.0); "
            "print([name for name in ('torch', 'jax', 'pandas', 'polars', 'sklearn', 'cupy', "
            "'array_api_compat') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
