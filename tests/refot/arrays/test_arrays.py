"""The checks of arrays.py: what passes, in which dtype, and where the limits are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import weights

from refot import InputError, arrays


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_float_array_passes_as_it_is(dtype):
    x = np.ones((2, 3), dtype)
    assert arrays.as_points(x) is x
    assert arrays.as_matrix(x, "C", (2, 3)) is x


@pytest.mark.parametrize("values", [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], np.int8)])
def test_integers_and_lists_become_float64(values):
    matrix = arrays.as_matrix(values)
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[1.0, 2.0], [3.0, 4.0]])


def test_a_tensor_of_another_library_becomes_a_numpy_array():
    torch = pytest.importorskip("torch")
    vector = arrays.as_vector(torch.tensor([0.25, 0.75], dtype=torch.float64), 2, "g")
    assert isinstance(vector, np.ndarray)
    np.testing.assert_array_equal(vector, [0.25, 0.75])


@given(weights(5))
def test_weights_pass_with_zeros(a):
    assert arrays.as_weights(a, 5) is a


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-5)])
def test_the_sum_of_weights_is_checked_at_its_stated_tolerance(dtype, tolerance):
    assert arrays.weight_tolerance(dtype) == tolerance
    arrays.as_weights(np.array([0.5, 0.5 + tolerance / 2], dtype), 2)
    with pytest.raises(arrays.WeightError, match="sum"):
        arrays.as_weights(np.array([0.5, 0.5 + 2 * tolerance], dtype), 2)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_weights_are_normalised_in_the_precision_of_the_problem(dtype):
    """Judged in float32, in which they come; of the quotient by their sum each entry is rounded
    once, so that its sum is 1 within one rounding (float64: and those of the sum itself)."""
    z = np.exp(np.random.default_rng(0).normal(size=60)).astype(np.float32)
    a = (z / z.sum() * np.float32(1 + 4e-6)).astype(np.float32)
    assert 3e-6 < a.sum(dtype=np.float64) - 1 < 5e-6
    normal = arrays.as_weights(a, 60, "a", dtype)
    assert normal.dtype == dtype
    exact = a.astype(np.longdouble) / a.astype(np.longdouble).sum()
    np.testing.assert_allclose(normal, exact.astype(np.float64), rtol=2 * np.finfo(dtype).eps)
    assert abs(normal.sum(dtype=np.float64) - 1) <= 4 * np.finfo(dtype).eps


@given(weights(5))
def test_weights_that_are_normalised_stay_as_they_are(a):
    assert arrays.as_weights(a, 5, "a", np.float64) is a


def test_the_sum_of_float64_weights_is_judged_in_float64_beside_a_float32_problem():
    with pytest.raises(arrays.WeightError, match="within 1e-10"):
        arrays.as_weights(np.array([0.5, 0.5 + 1e-8]), 2, "a", np.float32)


def test_an_error_shows_the_first_wrong_entry_and_where_it_is():
    matrix = np.zeros((3, 4))
    matrix[1, 2], matrix[2, 0] = np.nan, np.inf
    with pytest.raises(InputError) as caught:
        arrays.as_matrix(matrix, "C")
    assert str(caught.value) == "C: nan at [1, 2]; allowed: finite values"
    assert (caught.value.name, caught.value.found) == ("C", "nan at [1, 2]")


def test_every_error_class_is_a_value_error():
    for kind in (arrays.TypeInputError, arrays.ShapeError, arrays.WeightError,
                 arrays.UnknownNameError):
        assert issubclass(kind, InputError)
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize("number", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0)])
def test_numbers_of_every_real_type_pass(number):
    positive = arrays.as_positive(number, "eps")
    assert positive == 2.0
    assert type(positive) is float


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_positive_means_finite_and_above_zero(number):
    if math.isfinite(number) and number > 0:
        assert arrays.as_positive(number, "eps") == number
    else:
        with pytest.raises(InputError, match=r"^eps: "):
            arrays.as_positive(number, "eps")


@pytest.mark.parametrize("count", [3, np.int32(3), np.uint8(3)])
def test_counts_of_every_integer_type_pass(count):
    assert arrays.as_count(count, "L") == 3


@given(weights(4))
def test_masses_may_have_any_total(a):
    np.testing.assert_array_equal(arrays.as_masses(3 * a, "p"), 3 * a)
    np.testing.assert_array_equal(arrays.as_plan((3 * a).reshape(2, 2)), (3 * a).reshape(2, 2))


def test_uniform_weights_follow_the_dtype_of_what_they_are_like():
    assert arrays.uniform(4).dtype == np.float64
    single = arrays.uniform(4, np.zeros(1, np.float32))
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, [0.25] * 4)


def test_lookup_lists_what_there_is():
    with pytest.raises(arrays.UnknownNameError) as caught:
        arrays.lookup({"b": 1, "a": 2}, "c", "cost")
    assert str(caught.value) == "cost: 'c'; allowed: one of a, b"
