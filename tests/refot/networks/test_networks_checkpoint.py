"""Checkpoints: bit for bit there and back, whole or refused, and never half written."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refot.arrays import InputError, TypeInputError
from refot.networks import (
    Adam,
    CheckpointError,
    copy_into,
    generator_state,
    load_checkpoint,
    mlp,
    restore_generator,
    save_checkpoint,
)
from refot.networks import checkpoint as module

ARRAYS = {"trunk.0.W": np.arange(6, dtype=np.float32).reshape(2, 3), "t/0.b": np.array(7),
          "meta": np.array([np.nan, -0.0, np.inf]), "file": np.zeros(0)}
META = {"step": 3, "seed": 2**100, "losses": [0.1, 1e-300], "name": "ψ"}

stored = st.dictionaries(
    st.text("abcW.0/ ", min_size=1, max_size=6),
    hnp.arrays(st.sampled_from([np.float32, np.float64, np.int64]), hnp.array_shapes(max_side=3)),
    max_size=3)


def assert_same(found, expected):
    """Names, dtypes, shapes and every bit."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "last.npz"
    save_checkpoint(path, ARRAYS, META)
    return path


# ------------------------------------------------------------------ there and back
@given(stored)
def test_arrays_come_back_bit_for_bit(tmp_path_factory, arrays):
    path = tmp_path_factory.getbasetemp() / "drawn.npz"
    save_checkpoint(path, arrays, META)
    found, meta = load_checkpoint(path)
    assert_same(found, arrays)
    assert meta == META


def test_awkward_names_and_numbers_come_back(saved):
    found, meta = load_checkpoint(saved)
    assert_same(found, ARRAYS)
    assert meta == META


def train(net, opt, rng, steps):
    for _ in range(steps):
        x = rng.normal(size=(8, 2)).astype(np.float32)
        y, cache = net.forward(x)
        opt.step(net.weights, net.backward(cache, y - x)[1])


def start():
    net = mlp([2, 16, 2], np.random.default_rng(1), batch_norm=True)
    return net, Adam(1e-2, 0.5, 0.99), np.random.default_rng(2)


def test_a_resumed_run_is_the_run_that_was_not_interrupted(tmp_path):
    net, opt, rng = start()
    train(net, opt, rng, 5)
    arrays = {**{f"net/{k}": a for k, a in {**net.weights, **net.statistics}.items()},
              **{f"opt/{k}": a for k, a in opt.state().items()}}
    save_checkpoint(tmp_path / "last.npz", arrays, {"rng": generator_state(rng)})
    train(net, opt, rng, 5)

    again, opt, rng = mlp([2, 16, 2], np.random.default_rng(7), batch_norm=True), Adam(
        1e-2, 0.5, 0.99), np.random.default_rng(8)
    arrays, meta = load_checkpoint(tmp_path / "last.npz")
    copy_into({**again.weights, **again.statistics},
              {k[4:]: a for k, a in arrays.items() if k.startswith("net/")})
    opt.restore({k[4:]: a for k, a in arrays.items() if k.startswith("opt/")})
    restore_generator(rng, meta["rng"])
    train(again, opt, rng, 5)
    assert_same({**again.weights, **again.statistics}, {**net.weights, **net.statistics})


def test_a_generator_goes_on_where_it_was():
    rng, other = np.random.default_rng(0), np.random.default_rng(1)
    rng.integers(0, 10, dtype=np.int32)  # leaves half a word behind, which is part of the state
    state = json.loads(json.dumps(generator_state(rng)))
    expected = rng.integers(0, 10, size=9, dtype=np.int32), rng.normal(size=9)
    restore_generator(other, state)
    np.testing.assert_array_equal(other.integers(0, 10, size=9, dtype=np.int32), expected[0])
    np.testing.assert_array_equal(other.normal(size=9), expected[1])


# ------------------------------------------------------------------ files that are not whole
def test_every_truncation_is_refused(saved):
    whole = saved.read_bytes()
    for size in range(0, len(whole), 41):
        saved.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"last\.npz.*a whole file"):
            load_checkpoint(saved)


def test_a_changed_byte_is_refused_or_changes_nothing(saved):
    """Some bytes mean nothing (the time stamps); each of the others must be noticed."""
    whole, refused = saved.read_bytes(), 0
    places = range(0, len(whole), 5)
    for k in places:
        saved.write_bytes(whole[:k] + bytes([whole[k] ^ 1 << k % 8]) + whole[k + 1:])
        try:
            found, meta = load_checkpoint(saved)
        except CheckpointError:
            refused += 1
        else:
            assert_same(found, ARRAYS)
            assert meta == META
    assert refused > len(places) // 2


def test_an_archive_that_says_it_is_encrypted_is_refused(saved):
    whole = bytearray(saved.read_bytes())
    whole[whole.index(b"PK\x01\x02") + 8] |= 1  # the flags of the first member
    saved.write_bytes(whole)
    with pytest.raises(CheckpointError, match="encrypted"):
        load_checkpoint(saved)


def foreign(path):
    """Files that are something else, by what they are."""
    yield "missing", lambda: None
    yield "a folder", path.mkdir
    yield "removed", path.rmdir
    yield "text", lambda: path.write_text("not a checkpoint")
    yield "a pickle", lambda: path.write_bytes(pickle.dumps(ARRAYS))
    yield "npy", lambda: path.write_bytes(b"\x93NUMPY\x01\x00")
    yield "npz without a header", lambda: np.savez(path, W=np.ones(2))
    yield "npz with a header that is not JSON", lambda: np.savez(path, header=np.ones(2))
    yield "JSON of another format", lambda: np.savez(
        path, header=np.frombuffer(b'{"format": "1"}', np.uint8))
    yield "JSON that is a list", lambda: np.savez(path, header=np.frombuffer(b"[]", np.uint8))
    yield "pickled objects", lambda: np.savez(path, header=np.array([{}], dtype=object))


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "other.npz"
    for what, make in foreign(path):
        make()
        try:
            with pytest.raises(CheckpointError, match=r"other\.npz"):
                load_checkpoint(path)
        except BaseException as error:
            error.add_note(f"the file: {what}")
            raise


# ------------------------------------------------------------------ writing
@pytest.mark.parametrize("step", ["savez", "fsync", "replace"])
def test_a_failed_write_leaves_the_checkpoint_before(saved, monkeypatch, step):
    def fails(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(module.np if step == "savez" else os, step, fails)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(saved, {"W": np.ones(3)}, {})
    monkeypatch.undo()
    assert os.listdir(saved.parent) == [saved.name]
    assert_same(load_checkpoint(saved)[0], ARRAYS)


@pytest.mark.parametrize(("arrays", "meta", "name"), [
    ({"W": np.array([{}], dtype=object)}, {}, "W"),
    ({}, {"loss": float("nan")}, "meta"),
    ({}, {"x": np.ones(2)}, "meta")])
def test_what_cannot_be_stored_is_refused_before_writing(tmp_path, arrays, meta, name):
    with pytest.raises(TypeInputError, match=name):
        save_checkpoint(tmp_path / "x.npz", arrays, meta)
    assert os.listdir(tmp_path) == []


# ------------------------------------------------------------------ into a network
@pytest.mark.parametrize(("change", "message"), [
    (lambda a: a.pop("0.b"), r"only one side has: 0\.b"),
    (lambda a: a.update({"9.W": np.ones(1)}), r"only one side has: 9\.W"),
    (lambda a: a.update({"0.W": a["0.W"].T}), r"0\.W: float32 \(16, 2\); allowed: .* \(2, 16\)"),
    (lambda a: a.update({"0.W": a["0.W"].astype(float)}), "float64")])
def test_arrays_of_another_network_move_nothing(change, message):
    net = mlp([2, 16, 2], np.random.default_rng(0))
    kept = {name: w.copy() for name, w in net.weights.items()}
    other = {name: w + 1 for name, w in net.weights.items()}
    change(other)
    with pytest.raises(CheckpointError, match=message):
        copy_into(net.weights, other)
    assert_same(net.weights, kept)


def test_only_pcg64_is_taken():
    with pytest.raises(TypeInputError, match="MT19937"):
        generator_state(np.random.Generator(np.random.MT19937(0)))
    with pytest.raises(TypeInputError, match="rng"):
        generator_state(None)
    for state in ({}, {"bit_generator": "MT19937"}, {"bit_generator": "PCG64", "state": 1}):
        with pytest.raises(CheckpointError, match="what generator_state returns"):
            restore_generator(np.random.default_rng(0), state)
    assert issubclass(CheckpointError, InputError)
