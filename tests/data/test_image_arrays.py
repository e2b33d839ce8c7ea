"""Images in npz and npy files: the order of their axes, their record, and predictions for arrays."""

import json
from pathlib import Path

import numpy as np
import pytest

from minitrain import load_model
from minitrain.data import NPY, NPZ, ImageRows, Preprocessing, RowsOnDisk, Scale
from minitrain.data.image_format import ImageFormat
from minitrain.data.inputs import validate_inputs
from minitrain.data.preprocessing import parse_preprocessing, preprocessing_as_json
from minitrain.errors import ConfigError

FAST = ["steps=20", "eval_every=10", "batch_size=8"]
CNN = ["network=cnn", "network.channels=[3]", *FAST]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(x, y=None, **more):
    y = np.arange(len(x)) % 2 if y is None else y
    np.savez("a.npz", x=x, y=y, **more)
    np.save("x.npy", x)
    np.save("y.npy", y)


def colors(dtype=np.uint8, shape=(24, 4, 6, 3)):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize(
    ("axes", "shape", "order"),
    [("hw", (8, 4, 6), (0, 1, 2)), ("hwc", (8, 4, 6, 3), (0, 3, 1, 2)), ("chw", (8, 2, 4, 6), (0, 1, 2, 3))],
)
@pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65535), ("float32", 1), ("int16", 1)])
def test_inputs_are_one_channel_after_another(axes, shape, order, dtype, white):
    x = colors(dtype, shape)
    write(x)
    options = {"axes": axes, "standardize": False, "validation": 0.25}
    data, on_disk = NPZ(path="a.npz", **options).load(), NPY(x="x.npy", y="y.npy", **options).load()
    everything = np.concatenate([data.x_train[:], data.x_val[:]])
    expected = x.transpose(order).reshape(8, -1) / white
    np.testing.assert_array_equal(everything[np.lexsort(everything.T)], expected[np.lexsort(expected.T)])
    assert data.fingerprint == on_disk.fingerprint
    assert isinstance(on_disk.x_train.array, np.memmap)
    assert (data.x_train[:] == on_disk.x_train[:]).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float64", "int32"])
@pytest.mark.parametrize("type_", ["float32", "float64"])
def test_tables_and_arithmetic_scale_with_equal_bits(dtype, type_):
    write(colors(dtype))
    data = NPZ(path="a.npz", axes="hwc").load()
    rows = data.x_train.astype(type_)
    plain = RowsOnDisk(rows.array, rows.rows, rows.scale, type_)
    assert isinstance(rows, ImageRows)
    for key in (slice(None), slice(3, 7), np.array([5, 0, 5])):
        assert rows[key].dtype == plain[key].dtype == type_
        assert (rows[key] == plain[key]).all()
    mean, deviation = rows.mean_and_deviation()
    x = rows.array[rows.rows].astype(np.float64)
    np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(deviation, x.std(axis=(0, 2, 3)), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_a_constant_channel_has_deviation_1(dtype):
    x = colors(dtype)
    x[..., 1] = 7
    write(x)
    scale = NPZ(path="a.npz", axes="hwc").load().preprocessing.x_scale
    assert scale.mean[24:48].tolist() == [7] * 24
    assert scale.deviation[24:48].tolist() == [1] * 24


def test_without_axes_values_and_record_are_those_of_numbers():
    write(colors())
    data = NPZ(path="a.npz").load()
    assert isinstance(data.x_train, np.ndarray)
    assert data.preprocessing.image is None
    assert "image" not in preprocessing_as_json(data.preprocessing)
    assert data.preprocessing.x_scale.mean.shape == (72,)


def test_validation_arrays():
    write(colors(), x_val=colors()[:6], y_val=np.arange(6) % 2)
    data = NPZ(path="a.npz", axes="hwc", x_val="x_val", y_val="y_val").load()
    assert (data.x_train[:6] == data.x_val[:]).all()
    write(colors(), x_val=colors("float64")[:6] / 255, y_val=np.arange(6) % 2)
    with pytest.raises(ConfigError, match=r"^a.npz x has type uint8 and a.npz x_val float64; expected images of one"):
        NPZ(path="a.npz", axes="hwc", x_val="x_val", y_val="y_val").load()


def test_record_has_one_number_per_channel_and_restores_exactly():
    write(colors())
    preprocessing = NPZ(path="a.npz", axes="hwc").load().preprocessing
    values = json.loads(json.dumps(preprocessing_as_json(preprocessing)))
    assert len(values["x_scale"]["mean"]) == 3
    restored = parse_preprocessing(values)
    assert restored.image == ImageFormat(3, 4, 6, 255, channels_last=True)
    assert (restored.x_scale.mean == preprocessing.x_scale.mean).all()
    assert (restored.x_scale.deviation == preprocessing.x_scale.deviation).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channels": 4}, "image: 4 channels of 4 x 6; expected 72 inputs"),
        ({"height": 0}, "image: 3 channels of 0 x 6"),
        ({"height": -4, "channels": -3}, "expected a count"),
        ({"white": "x"}, "white: expected a count"),
        ({"resizes": 1}, "resizes: expected true or false"),
        ({"width": None}, "width: expected a count"),
    ],
)
def test_an_invalid_record_is_rejected(changes, message):
    image = ImageFormat(3, 4, 6, 255)
    values = preprocessing_as_json(Preprocessing(72, classes=2, image=image, x_scale=Scale(0.0, 255.0)))
    values["image"] = {**values["image"], **changes}
    with pytest.raises(ValueError, match=message):
        parse_preprocessing(values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["data.axes=hw"], "data.axes=hw: a.npz x has shape [24, 4, 6, 3]; expected [examples, height, width]"),
        (["data.axes=chw", "network.pool=5"], "images of side 3 are too small"),
        (["data.axes=wh"], "data.axes=wh: expected one of hw, hwc, chw, or null"),
        (["data.axes=hwc", "diagnostics=[sharpness]"], "diagnostics=[sharpness]: requires all training examples in"),
        ([], "network=cnn: takes images; the data does not state their size, and its 72 inputs are not a square"),
    ],
)
def test_axes_that_do_not_fit_are_one_line(command, options, message):
    write(colors(shape=(24, 4, 6, 3)))
    if "data.axes=chw" in options:
        write(colors(shape=(24, 1, 3, 9)))
    status, _, err = command("data=npz", "data.path=a.npz", *options, *CNN)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_predictions_need_no_data_and_accept_either_order(command):
    write(colors())
    assert command("data=npz", "data.path=a.npz", "data.axes=hwc", *CNN, "hydra.run.dir=run")[0] == 0
    x = colors()
    for path in Path().glob("*.np?"):
        path.unlink()
    np.save("last.npy", x)
    np.save("first.npy", x.transpose(0, 3, 1, 2))
    texts = []
    for name in ("last", "first"):
        assert command("predict", "run", f"{name}.npy")[0] == 0
        texts.append(Path("run/predictions.csv").read_text())
    assert texts[0] == texts[1]
    model = load_model("run")
    assert model.predict(x).labels.tolist() == [line.split(",")[0] for line in texts[0].splitlines()[1:]]
    np.save("flat.npy", x.reshape(24, -1))
    status, _, err = command("predict", "run", "flat.npy")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "has shape [24, 72]; expected [examples, 4, 6, 3] or [examples, 3, 4, 6], as in training" in err
    with pytest.raises(ConfigError, match=r"^x\[1\]: contains NaN or Inf"):
        model.predict(np.where(np.arange(24)[:, None, None, None] == 1, np.nan, x))


def test_export_needs_no_data(command):
    pytest.importorskip("safetensors")
    write(colors())
    assert command("data=npz", "data.path=a.npz", "data.axes=hwc", *CNN, "hydra.run.dir=run")[0] == 0
    Path("a.npz").unlink()
    assert command("export", "run", "w.safetensors")[0] == 0


def test_equal_axes_are_in_the_order_of_training():
    x = np.arange(54).reshape(2, 3, 3, 3)
    for channels_last, expected in ((True, x.transpose(0, 3, 1, 2)), (False, x)):
        preprocessing = Preprocessing(27, classes=2, image=ImageFormat(3, 3, 3, 255, channels_last))
        assert validate_inputs(x, preprocessing, "x").tolist() == expected.reshape(2, 27).tolist()


@pytest.mark.parametrize("source", [["data=npz", "data.path=a.npz"], ["data=npy", "data.x=x.npy", "data.y=y.npy"]])
def test_engines_and_groups_have_equal_bits(command, source):
    write(colors())
    arguments = [*source, "data.axes=hwc", *CNN, "dtype=float64"]
    assert command("-m", *arguments, "seed=0,1", "hydra.sweep.dir=swept")[0] == 0
    for name, more in {"alone": [], "eager": ["engine=eager"]}.items():
        assert command(*arguments, "seed=1", *more, f"hydra.run.dir={name}")[0] == 0
        assert Path(f"{name}/metrics.csv").read_bytes() == Path("swept/1/metrics.csv").read_bytes()
