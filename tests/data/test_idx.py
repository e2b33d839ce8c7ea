"""IDX files: bytes by the format's specification, the files of a folder, and one line for each error."""

import gzip
import json
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minitrain import load_model
from minitrain.components.networks import LinearConfig
from minitrain.config.schema import RunConfig
from minitrain.data import IDX, ImageRows
from minitrain.data.idx import open_idx
from minitrain.errors import ConfigError
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.storage.metrics_file import read_metrics
from minitrain.storage.summary import read_summary
from minitrain.sweep.grouping import shared_data

FASHION = Path("/usr/share/datasets/fashion-mnist")
FAST = ["steps=20", "eval_every=10", "batch_size=8", "network.widths=[4]"]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def idx_bytes(array, type_=0x08, code="B"):
    """An array as the specification lays it out: magic number, sizes, values, each most significant byte first."""
    array = np.asarray(array)
    head = struct.pack(">BBBB", 0, 0, type_, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + struct.pack(f">{array.size}{code}", *array.ravel().tolist())


def pixels(examples, height=3, width=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (examples, height, width))


def labels(examples):
    return np.arange(examples) % 3


def write(name, content):
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def write_mnist(folder="m", train=24, val=9, suffix="-idx{}-ubyte"):
    for part, examples in {"train": train, "t10k": val}.items():
        if examples:
            write(f"{folder}/{part}-images{suffix.format(3)}", idx_bytes(pixels(examples, seed=examples)))
            write(f"{folder}/{part}-labels{suffix.format(1)}", idx_bytes(labels(examples)))


def load(**options):
    return IDX(**{"path": "m", "standardize": False, **options}).load()


@pytest.mark.parametrize(
    ("type_", "code", "values"),
    [
        (0x08, "B", [0, 1, 128, 255]),
        (0x09, "b", [-128, -1, 0, 127]),
        (0x0B, "h", [-32768, 1, 258, 32767]),
        (0x0C, "i", [-(2**31), 1, 16909060, 2**31 - 1]),
        (0x0D, "f", [-1.5, 0.0, 0.25, 2.0**127]),
        (0x0E, "d", [-1.5, 0.0, 1e-300, 1e300]),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_type_of_the_specification_is_read(type_, code, values, suffix):
    write(f"x{suffix}", idx_bytes(np.array(values).reshape(2, 1, 2), type_, code))
    array = open_idx("data.path", Path(f"x{suffix}")).read()
    assert array.shape == (2, 1, 2)
    assert array.ravel().tolist() == values
    assert array.dtype.isnative


@pytest.mark.parametrize("suffix", ["-idx{}-ubyte", ".idx{}-ubyte", "-idx{}-ubyte.gz"])
def test_a_folder_has_training_and_validation_files(suffix):
    write_mnist(suffix=suffix)
    data = load()
    assert data.describe() == ("24 training and 9 validation examples, 12 inputs (3 x 4 gray images), 3 classes")
    np.testing.assert_array_equal(data.x_train[:], pixels(24, seed=24).reshape(24, 12) / 255)
    np.testing.assert_array_equal(data.x_val[:], pixels(9, seed=9).reshape(9, 12) / 255)
    assert data.y_train.tolist() == labels(24).tolist()
    assert data.y_val.tolist() == labels(9).tolist()


def test_pixels_stay_bytes_in_memory():
    write_mnist()
    data = IDX(path="m").load()
    assert isinstance(data.x_train, ImageRows)
    assert data.x_train.array is data.x_val.array
    assert data.x_train.array.nbytes == 33 * 12


def test_one_mean_and_deviation_standardize_all_pixels():
    write_mnist()
    data = IDX(path="m").load()
    train = pixels(24, seed=24).astype(np.float64)
    np.testing.assert_allclose(data.preprocessing.x_scale.mean, train.mean(), rtol=1e-12)
    np.testing.assert_allclose(data.preprocessing.x_scale.deviation, train.std(), rtol=1e-12)
    np.testing.assert_allclose(
        data.x_val[:], (pixels(9, seed=9).reshape(9, 12) - train.mean()) / train.std(), rtol=1e-12
    )
    scale = data.preprocessing.x_scale
    assert (data.x_train[:] == scale.apply(train.reshape(24, 12))).all()  # a table has the bits of the arithmetic


def test_a_fraction_of_the_training_files_is_held_out_if_asked_for():
    write_mnist()
    data = load(validation_files=False, validation=0.25)
    assert (len(data.x_train), len(data.x_val)) == (18, 6)
    with pytest.raises(ConfigError, match=r"^data.validation=0.25: the validation examples are those of m/t10k-images"):
        load(validation=0.25)
    write_mnist("alone", val=0)
    assert len(load(path="alone").x_val) == 5


def test_files_by_options():
    write("a", idx_bytes(pixels(6)))
    write("b", idx_bytes([5, 7, 5, 7, 9, 9]))
    write("c", idx_bytes(pixels(2, seed=1)))
    write("d", idx_bytes([9, 5]))
    data = load(path="a", labels="b", path_val="c", labels_val="d", task="classification")
    assert data.preprocessing.class_names == ("5", "7", "9")
    assert (data.y_train.tolist(), data.y_val.tolist()) == ([0, 1, 0, 1, 2, 2], [2, 0])
    np.testing.assert_array_equal(data.x_val[:], pixels(2, seed=1).reshape(2, 12) / 255)


def test_names_with_a_prefix_as_in_emnist():
    write_mnist()
    for path in list(Path("m").iterdir()):
        path.rename(path.with_name("emnist-digits-" + path.name.replace("t10k", "test")))
    assert len(load().x_val) == 9
    assert len(load(path="m/emnist-digits-train-images-idx3-ubyte").x_val) == 9
    for name in ("images-idx3", "labels-idx1"):
        write(f"m/emnist-letters-train-{name}-ubyte", Path(f"m/emnist-digits-train-{name}-ubyte").read_bytes())
    with pytest.raises(
        ConfigError, match=r"data.path=m: has the files emnist-digits-\S+, emnist-letters-.*expected one"
    ):
        load()
    assert len(load(path="m/emnist-letters-train-images-idx3-ubyte").x_val) == 5


@pytest.mark.parametrize(("axes", "order"), [("hwc", (0, 3, 1, 2)), ("chw", (0, 1, 2, 3))])
def test_four_dimensions_are_images_with_channels(axes, order):
    x = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 4))
    write("train-images-idx4-ubyte", idx_bytes(x))
    write("train-labels-idx1-ubyte", idx_bytes(labels(6)))
    data = load(path=".", axes=axes, validation=0)
    np.testing.assert_array_equal(data.x_train[:], x.transpose(order).reshape(6, 60) / 255)
    assert data.preprocessing.image.shape == x.transpose(order).shape[1:]
    with pytest.raises(ConfigError, match=r"shape \[6, 3, 5, 4\], and data.axes=null; expected data.axes=hwc or"):
        load(path=".")


def test_two_dimensions_are_rows_of_numbers():
    write("train-images-idx2-float", idx_bytes([[0.5, 1], [2, 4], [1, 1], [0, 0]], 0x0D, "f"))
    write("train-labels-idx1-ubyte", idx_bytes([0, 1, 1, 0]))
    data = load(path=".", validation=0.25)
    assert data.preprocessing.image is None
    assert sorted([*data.x_train.tolist(), *data.x_val.tolist()]) == [[0, 0], [0.5, 1], [1, 1], [2, 4]]


IMAGES, LABELS = idx_bytes(pixels(24)), idx_bytes(labels(24))
HUGE = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31)
DAMAGED = gzip.compress(IMAGES)[:-60] + b"zzzzzz" + gzip.compress(IMAGES)[-54:]
BOMB = gzip.compress(struct.pack(">BBBB3I", 0, 0, 8, 3, 24, 1000, 1000) + bytes(24 * 10**6))


FAULTS = [
    (IMAGES[:-1], LABELS, "train-images-idx3-ubyte: has 287 bytes after its header, which declares 288"),
    (IMAGES + b"x", LABELS, "has 289 bytes after its header, which declares 288"),
    (IMAGES[:10], LABELS, "images-idx3-ubyte: ends within its header"),
    (b"", LABELS, "begins with the bytes of an empty file; expected an IDX file"),
    (b"\x89PNG\r\n", LABELS, "begins with the bytes 89 50 4e 47; expected an IDX file"),
    (b"\0\0\x0a\x03" + IMAGES[4:], LABELS, "begins with the bytes 00 00 0a 03"),
    (b"\0\0\x08\0" + IMAGES[4:], LABELS, "begins with the bytes 00 00 08 00"),
    (gzip.compress(IMAGES[:-1]), LABELS, "has 287 bytes after its header"),
    (gzip.compress(IMAGES + b"x"), LABELS, "has more bytes after its header"),
    (gzip.compress(IMAGES)[:-40], LABELS, "images-idx3-ubyte: cannot be read ("),
    (DAMAGED, LABELS, "images-idx3-ubyte: cannot be read ("),
    (HUGE, LABELS, "has 0 bytes after its header, which declares 9,903,520,314,283,042,199,192,993,792, shape"),
    (gzip.compress(HUGE), LABELS, "declares 9,903,520,314,283,042,199,192,993,792 bytes, more than 100 times"),
    (BOMB, LABELS, "declares 24,000,000 bytes, more than 100 times its size"),
    (idx_bytes(np.zeros((0, 3, 4), int)), LABELS, "has shape [0, 3, 4]; expected at least one example"),
    (LABELS, LABELS, "images-idx3-ubyte: has shape [24] of type uint8, as labels have; expected images"),
    (IMAGES, IMAGES, "labels-idx1-ubyte: has shape [24, 3, 4] of type uint8; expected labels [examples]"),
    (IMAGES, idx_bytes(labels(23)), "has 24 images and m/train-labels-idx1-ubyte 23 labels"),
    (idx_bytes(pixels(24, 4, 3)), LABELS, "expected examples of the same shape and type for validation"),
]  # fmt: skip


@pytest.mark.parametrize(("images", "labels_", "message"), FAULTS, ids=[message for *_, message in FAULTS])
def test_each_fault_is_one_line_that_names_the_file(command, images, labels_, message):
    write_mnist()
    write("m/train-images-idx3-ubyte", images)
    write("m/train-labels-idx1-ubyte", labels_)
    status, _, err = command("data=idx", "data.path=m", *FAST)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "data.path=null: expected the path of an IDX file of images, or a folder"),
        (["data.path=nowhere"], "data.path=nowhere: no such file"),
        (["data.path=empty"], "data.path=empty: has no file train-images-idx3-ubyte; files: none"),
        (
            ["data.path=a"],
            "data.path=.: has no file train-labels-idx1-ubyte; files: a, b; rename it, or set data.labels=",
        ),
        (["data.path=b"], "data.path=b: has shape [24] of type uint8, as labels have; expected images"),
        (["data.path=a", "data.labels=c"], "data.labels=c: no such file"),
        (["data.path=a", "data.labels=b", "data.labels_val=b"], "data.labels_val=b: without images; set data.path_val"),
        (["data.path=a", "data.labels=b", "data.axes=hwc"], "data.axes=hwc; images are [examples, height, width]"),
    ],
)
def test_missing_files_and_contradicting_options(command, options, message):
    Path("empty").mkdir()
    write("a", IMAGES)
    write("b", LABELS)
    status, _, err = command("data=idx", *options, *FAST)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_run_resume_predict_and_changed_data(command):
    write_mnist()
    arguments = ["data=idx", "data.path=m", *FAST]
    assert command(*arguments, "hydra.run.dir=run")[0] == 0
    for name, x in {"x.npy": pixels(9, seed=9), "flat.npy": pixels(9, seed=9).reshape(9, 12)}.items():
        np.save(name, x)
    results = []
    for name in ("m/t10k-images-idx3-ubyte", "x.npy", "flat.npy"):
        assert command("predict", "run", name)[0] == 0
        results.append(Path("run/predictions.csv").read_text())
    assert results[0].startswith("prediction,p(0),p(1),p(2)\n")
    assert results[0] == results[1] == results[2]
    np.save("y.npy", np.zeros((2, 4, 3)))
    status, _, err = command("predict", "run", "y.npy")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "y.npy: has shape [2, 4, 3]; expected [examples, 3, 4] or [examples, 3, 4, 1]" in err
    np.save("y.npy", pixels(2) / 255)
    assert "the images of training had pixels up to 255; multiply by 255" in command("predict", "run", "y.npy")[2]
    write("m/t10k-labels-idx1-ubyte", idx_bytes((labels(9) + 1) % 3))
    status, _, err = command("resume", "run", "steps=30")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "the data have changed since the run started: 33 examples, as in training, but other values" in err
    write_mnist()
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    os.chdir(elsewhere)
    assert command("resume", "../run", "steps=30")[0] == 0
    assert read_summary(Path("../run")).step == 30


def test_evaluation_of_a_file_and_of_test_examples(command):
    write_mnist()
    assert command("data=idx", "data.path=m", "data.test=0.25", *FAST, "hydra.run.dir=run")[0] == 0
    assert command("evaluate", "run")[1].startswith("6 test examples, by the network of step")
    status, out, _ = command("evaluate", "run", "m/t10k-images-idx3-ubyte", "--json")
    scores = json.loads(out)
    assert (status, scores["examples"]) == (0, 9)
    best = read_summary(Path("run")).best
    assert scores["metrics"]["accuracy"] == pytest.approx(best.value)
    Path("m/t10k-labels-idx1-ubyte").unlink()
    status, _, err = command("evaluate", "run", "m/t10k-images-idx3-ubyte")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "FILE=m: has no file t10k-labels-idx1-ubyte; files: " in err
    assert "give an npz file with images and labels" in err


def test_runs_of_a_sweep_equal_runs_alone(command):
    write_mnist()
    arguments = ["data=idx", "data.path=m", *FAST]
    assert command("-m", *arguments, "seed=0,1", "hydra.sweep.dir=swept")[0] == 0
    for seed in (0, 1):
        assert command(*arguments, f"seed={seed}", f"hydra.run.dir=run{seed}")[0] == 0
        assert Path(f"swept/{seed}/metrics.csv").read_bytes() == Path(f"run{seed}/metrics.csv").read_bytes()
    assert command(*arguments, "engine=eager", "hydra.run.dir=eager")[0] == 0
    assert Path("eager/metrics.csv").read_bytes() == Path("run0/metrics.csv").read_bytes()


@pytest.mark.parametrize("path", ["m", "m/train-images-idx3-ubyte"])
def test_runs_of_a_process_share_the_data_until_any_file_changes(path):
    write_mnist()
    config = RunConfig(IDX(path=path), LinearConfig(), SGDRule(), Constant(), lr=0.1)
    data = shared_data(config)
    assert shared_data(config) is data
    write("m/t10k-labels-idx1-ubyte", idx_bytes((labels(9) + 1) % 3))
    os.utime("m/t10k-labels-idx1-ubyte", (1, 1))
    assert shared_data(config).y_val.tolist() == ((labels(9) + 1) % 3).tolist()


def test_one_pixel_changes_the_fingerprint():
    write_mnist()
    fingerprint = load().fingerprint
    assert load().fingerprint == fingerprint
    content = bytearray(Path("m/t10k-images-idx3-ubyte").read_bytes())
    content[-1] ^= 1
    write("m/t10k-images-idx3-ubyte", bytes(content))
    assert load().fingerprint != fingerprint


def test_a_compressed_file_gives_the_same_bytes(command):
    write_mnist("plain")
    write_mnist("packed", suffix="-idx{}-ubyte.gz")
    for folder in ("plain", "packed"):
        assert command("data=idx", f"data.path={folder}", *FAST, f"hydra.run.dir=run-{folder}")[0] == 0
    assert Path("run-plain/metrics.csv").read_bytes() == Path("run-packed/metrics.csv").read_bytes()


@pytest.mark.skipif(not FASHION.exists(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_of_debian(command):
    arguments = ["data=idx", f"data.path={FASHION}", "steps=300", "eval_every=300", "hydra.run.dir=run"]
    status, out, _ = command(*arguments)
    assert status == 0
    assert "60,000 training and 10,000 validation examples, 784 inputs (28 x 28 gray images), 10 classes" in out
    assert read_metrics(Path("run"))["val_accuracy"][-1] > 0.75
    scale = load_model("run").preprocessing.x_scale
    assert scale.mean / 255 == pytest.approx(0.2860, abs=5e-5)  # the values that torchvision's users normalize by
    assert scale.deviation / 255 == pytest.approx(0.3530, abs=5e-5)


def test_labels_can_be_numbers_for_a_regression():
    write_mnist()
    data = replace(IDX(path="m"), expected_target="numbers", standardize_target=False).load()
    assert data.y_train[:, 0].tolist() == labels(24).tolist()
