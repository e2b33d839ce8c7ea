"""Folders of image files: pixels as Pillow wrote them, sizes and colors, and one line for each error."""

import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minitrain import load_model
from minitrain.components.networks import LinearConfig
from minitrain.config.schema import RunConfig
from minitrain.data import Images
from minitrain.data.image_files import read_header
from minitrain.errors import ConfigError
from minitrain.optim import SGDRule
from minitrain.optim.schedules import Constant
from minitrain.storage.summary import read_summary
from minitrain.sweep.grouping import shared_data

FAST = ["steps=20", "eval_every=10", "batch_size=8", "network.widths=[4]"]


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def save(path, array, mode=None, **options):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(array))
    (image if mode is None else image.convert(mode)).save(path, **options)


def gray(seed=0, height=3, width=4):
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def color(seed=0, height=3, width=4):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def write_folder(make=gray, root="p", count=8, classes=("cat", "dog")):
    for k, name in enumerate(classes):
        for i in range(count):
            save(f"{root}/{name}/{i:02}.png", make(100 * k + i))


def load(**options):
    return Images(**{"path": "p", "standardize": False, "validation": 0, **options}).load()


def pixels(**options):
    """All images of the folder p as [examples, channels, height, width], black 0 and white 1."""
    data = load(**options)
    return data.x_train[:].reshape(-1, *data.preprocessing.image.shape)


# Pixels


def test_gray_pixels_and_classes_in_the_order_of_names():
    write_folder()
    data = load()
    assert data.preprocessing.class_names == ("cat", "dog")
    assert data.y_train.tolist() == [0] * 8 + [1] * 8
    expected = np.stack([gray(100 * k + i) for k in range(2) for i in range(8)])
    np.testing.assert_array_equal(data.x_train[:], expected.reshape(16, 12) / 255)
    assert data.describe() == "16 training and 0 validation examples, 12 inputs (3 x 4 gray images), 2 classes"


def test_order_does_not_depend_on_the_file_system(monkeypatch):
    write_folder()
    expected = load()
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(iterdir(path), reverse=True))
    assert load().fingerprint == expected.fingerprint


def test_color_pixels_are_one_channel_after_another():
    write_folder(color)
    expected = np.stack([color(100 * k + i) for k in range(2) for i in range(8)]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(pixels(), expected / 255)


def test_one_mean_and_deviation_per_channel_standardize_images():
    write_folder(color)
    data = load(standardize=True)
    x = np.stack([color(100 * k + i) for k in range(2) for i in range(8)]).transpose(0, 3, 1, 2).astype(np.float64)
    mean, deviation = x.mean(axis=(0, 2, 3), keepdims=True), x.std(axis=(0, 2, 3), keepdims=True)
    np.testing.assert_allclose(data.x_train[:], ((x - mean) / deviation)[:].reshape(16, -1), rtol=1e-12)


@pytest.mark.parametrize(
    ("mode", "channels"), [("1", 1), ("L", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("LA", 1), ("I;16", 1)]
)
def test_kinds_of_png_files(mode, channels):
    image = (gray() > 127) * np.uint8(255) if mode == "1" else gray() if channels == 1 else color()
    for name in ("a", "b"):
        save(
            f"p/{name}/x.png", image.astype(np.uint16) * 257 if mode == "I;16" else image, None if "I" in mode else mode
        )
    expected = image[None] if channels == 1 else image.transpose(2, 0, 1)
    if mode == "P":  # an adaptive palette may not have every color
        expected = np.asarray(Image.open("p/a/x.png").convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels()[0], expected / 255)


def test_sixteen_bits_are_kept():
    deep = np.array([[0, 1, 258], [65535, 4660, 300]], np.uint16)
    save("p/a/x.png", deep)
    save("p/b/x.png", np.array([[0, 1, 2], [255, 128, 3]], np.uint8))  # 8 bits: 255 is white, too
    data = load()
    assert data.x_train.array.dtype == np.uint16
    np.testing.assert_array_equal(
        data.x_train[:] * 65535, [[0, 1, 258, 65535, 4660, 300], [0, 257, 514, 65535, 32896, 771]]
    )


def test_transparent_pixels_are_drawn_on_white():
    image = np.zeros((1, 3, 4), np.uint8)
    image[0, :, 3] = 0, 255, 51  # transparent, black, a fifth of black
    for name in ("a", "b"):
        save(f"p/{name}/x.png", image)
    np.testing.assert_allclose(pixels()[0], np.array([[[255, 0, 204]]] * 3) / 255)
    assert load().describe().endswith("; 2 images with transparency drawn on white")


def test_photos_are_turned_as_the_camera_was_held():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees to the right
    photo = np.zeros((8, 16, 3), np.uint8)
    photo[:, :8] = 255  # the left half is white
    for name in ("a", "b"):
        save(f"p/{name}/x.jpg", photo, exif=exif, quality=95)
    x = pixels()
    assert x.shape == (2, 3, 16, 8)
    assert x[0, :, :7].min() > 0.9 > 0.1 > x[0, :, 9:].max()  # the upper half is white
    assert read_header("x", Path("p/a/x.jpg")).size == (16, 8)


# Sizes and colors


def test_images_of_another_size_are_refused_or_resized():
    write_folder()
    save("p/dog/03.png", gray(height=6, width=8))
    with pytest.raises(ConfigError) as error:
        load()
    assert str(error.value) == (
        "p/cat/00.png has size [3,4] and p/dog/03.png [6,8] (height, width); set data.size=[H,W], such as "
        "data.size=[3,4], to resize all"
    )
    x = pixels(size=[3, 4])
    np.testing.assert_array_equal(x[0, 0], gray(0) / 255)
    resized = Image.fromarray(gray(height=6, width=8)).resize((4, 3), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(x[11, 0], np.asarray(resized) / 255)


def test_sixteen_bits_can_be_resized():
    for name, value in {"a": 1000, "b": 60000}.items():
        save(f"p/{name}/x.png", np.full((4, 6), value, np.uint16))
    np.testing.assert_array_equal(pixels(size=[2, 3])[:, 0, 0, 0] * 65535, [1000, 60000])


def test_gray_and_color_images_together_are_refused_or_converted():
    write_folder()
    save("p/dog/03.png", color())
    with pytest.raises(ConfigError, match=r"^p/cat/00.png is gray and p/dog/03.png has colors; set data.color=gray or"):
        load()
    assert pixels(color="rgb").shape == (16, 3, 3, 4)
    np.testing.assert_array_equal(pixels(color="rgb")[0], np.stack([gray(0)] * 3) / 255)
    x = pixels(color="gray")
    np.testing.assert_array_equal(x[11, 0], np.asarray(Image.fromarray(color()).convert("L")) / 255)


def test_runs_of_a_process_share_the_data_until_an_image_changes():
    write_folder()
    config = RunConfig(Images(path="p", standardize=False), LinearConfig(), SGDRule(), Constant(), lr=0.1)
    data = shared_data(config)
    assert shared_data(config) is data
    save("p/dog/07.png", gray(9))
    os.utime("p/dog/07.png", (1, 1))
    assert shared_data(config).fingerprint != data.fingerprint


# Folders


def test_folders_train_and_val(command):
    write_folder(root="p/train")
    write_folder(root="p/val", count=3)
    data = Images(path="p").load()
    assert (len(data.x_train), len(data.x_val), data.y_val.tolist()) == (16, 6, [0, 0, 0, 1, 1, 1])
    with pytest.raises(ConfigError, match=r"^data.validation=0.5: the validation examples are those of p/val; set"):
        Images(path="p", validation=0.5).load()
    data = Images(path="p", validation=0.25, validation_folder=False).load()
    assert (len(data.x_train), len(data.x_val)) == (12, 4)
    assert data.notes == ("folder val is not used",)
    write_folder(root="p/val", count=1, classes=("cow",))
    status, _, err = command("data=images", "data.path=p", *FAST)
    assert status == 2
    assert err == "minitrain: data.path=p/val/cow: p/train has no such class; classes: cat, dog\n"


def test_a_class_may_be_called_train():
    write_folder(classes=("train", "bus"))
    assert load().preprocessing.class_names == ("bus", "train")


def test_hidden_and_other_files_are_not_used():
    write_folder()
    for name in (".DS_Store", "cat/Thumbs.db", "cat/.hidden.png"):
        Path("p", name).write_bytes(b"x")
    Path("p/.ipynb_checkpoints").mkdir()
    assert load().notes == ()
    for name in ("README.txt", "dog/labels.csv"):
        Path("p", name).write_text("x")
    assert load().notes == ("2 files that are no images are not used (README.txt, dog/labels.csv)",)
    assert len(load().x_train) == 16


def bomb():
    """A png file of 20,000 x 20,000 pixels, whose data are missing."""
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def damage(path):
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[:-30])


FAULTS = {
    "p: has no folders; expected a folder of images": lambda: [
        (Path("p") / name / path).unlink() for name in ("cat", "dog") for path in os.listdir(f"p/{name}")
    ]
    + [Path("p/cat").rmdir(), Path("p/dog").rmdir()],
    "p: has one folder, cat; expected a folder for each": lambda: os.rename("p/dog", "p/.dog"),
    "p/cow: has no images; add images of this class": lambda: Path("p/cow").mkdir(),
    "p/x.png: an image outside of the folders of the classes; expected p/CLASS/x.png": lambda: save("p/x.png", gray()),
    "p/cat/more: a folder among the images of a class; expected p/cat/FILE.png": lambda: Path("p/cat/more").mkdir(),
    "p/cat/loop.png: neither a file nor a folder, or a link to": lambda: os.symlink("loop.png", "p/cat/loop.png"),
    "p/loop/cat: a folder among the images of a class": lambda: os.symlink(".", "p/loop"),
    "p/cat/pipe.png: neither a file nor a folder": lambda: os.mkfifo("p/cat/pipe.png"),
    "p/dog/02.png: cannot be read (": lambda: damage("p/dog/02.png"),
    "p/dog/02.png: is not an image that can be read": lambda: Path("p/dog/02.png").write_text("hello"),
    "p/dog/02.png: is not an image": lambda: Path("p/dog/02.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    "p/dog/02.png: has more than 89,478,485 pixels": lambda: Path("p/dog/02.png").write_bytes(bomb()),
    "p/dog/x.tif: has pixels of 32 bits": lambda: save("p/dog/x.tif", gray().astype(np.float32)),
    "p/dog/x.tif: has several frames or pages": lambda: save(
        "p/dog/x.tif", gray(), save_all=True, append_images=[Image.fromarray(gray(1))]
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", FAULTS)
def test_each_fault_is_one_line_that_names_the_file(command, message):
    write_folder()
    FAULTS[message]()
    status, _, err = command("data=images", "data.path=p", *FAST)
    assert status == 2
    assert err.startswith(f"minitrain: data.path={message}")
    assert len(err.splitlines()) == 1
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            [],
            "data.path=null: expected the path of a folder with a folder of images for each class; set",
        ),
        (["data.path=q"], "data.path=q: no such file"),
        (["data.path=p/cat/00.png"], "data.path=p/cat/00.png: a file; expected a folder with a folder of images"),
        (["data.path=p", "data.size=[3]"], "data.size=[3]: expected height and width, such as data.size=[32,32]"),
        (["data.path=p", "data.color=blue"], "data.color=blue: expected one of gray, rgb, or null"),
    ],
)
def test_invalid_options(command, options, message):
    write_folder()
    status, _, err = command("data=images", *options, *FAST)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


# Runs


def test_run_predict_resume_and_changed_data(command):
    write_folder(color)
    assert command("data=images", "data.path=p", "plots=[confusion_matrix]", *FAST, "hydra.run.dir=run")[0] == 0
    os.rename("p", "q")  # a run needs no data to predict
    assert command("predict", "run", "q")[0] == 0
    table = [line.split(",") for line in Path("run/predictions.csv").read_text().splitlines()]
    assert table[0] == ["file", "prediction", "p(cat)", "p(dog)"]
    assert [row[0] for row in table[1:]] == [f"{name}/{i:02}.png" for name in ("cat", "dog") for i in range(8)]
    x = np.stack([color(100 * k + i) for k in range(2) for i in range(8)])
    model = load_model("run")
    for array in (x, x.transpose(0, 3, 1, 2)):
        prediction = model.predict(array)
        assert prediction.labels.tolist() == [row[1] for row in table[1:]]
        np.testing.assert_array_equal(prediction.probabilities[:, 1].astype(str), [row[3] for row in table[1:]])
    assert command("predict", "run", "q/dog/05.png", "--output", "one.csv")[0] == 0
    assert Path("one.csv").read_text().splitlines()[1] == ",".join(["q/dog/05.png", *table[14][1:]])
    np.savez("x.npz", x=x)
    assert command("predict", "run", "x.npz", "--output", "npz.csv")[0] == 0
    assert Path("npz.csv").read_text().splitlines() == [",".join(row[1:]) for row in table]
    os.rename("q", "p")
    save("p/dog/05.png", color(9))
    status, _, err = command("resume", "run", "steps=30")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "the data have changed since the run started" in err
    save("p/dog/05.png", color(105))
    assert command("resume", "run", "steps=30")[0] == 0
    assert read_summary(Path("run")).step == 30


def test_evaluation_of_a_folder(command):
    write_folder(color, root="p/train")
    write_folder(color, root="p/val", count=5)
    assert command("data=images", "data.path=p", *FAST, "hydra.run.dir=run")[0] == 0
    status, out, _ = command("evaluate", "run", "p/val", "--json")
    scores = json.loads(out)
    assert (status, scores["examples"]) == (0, 10)
    assert scores["metrics"]["accuracy"] == pytest.approx(read_summary(Path("run")).best.value)
    assert [row["class"] for row in scores["classes"]] == ["cat", "dog"]
    os.rename("p/val/dog", "p/val/cow")
    for path, message in (
        ("p/val", "p/val: has class cow, which the network does not know; its classes: cat, dog"),
        ("p/val/cat", "p/val/cat: expected a folder with a folder of images for each class, whose name is the class"),
        ("p/val/cat/00.png", "p/val/cat/00.png: expected a folder with a folder of images for each class"),
    ):
        status, _, err = command("evaluate", "run", path)
        assert (status, len(err.splitlines())) == (2, 1)
        assert err.startswith(f"minitrain: {message}")


def test_folds_of_a_folder(command):
    write_folder()
    data = Images(path="p", folds=4, fold=1).load()
    assert np.bincount(data.y_val).tolist() == [2, 2]
    write_folder(root="q/train")
    write_folder(root="q/val", count=2)
    with pytest.raises(ConfigError, match=r"^data.folds=4: the data have validation examples of their own"):
        Images(path="q", folds=4, fold=1).load()
    assert len(Images(path="q", folds=4, fold=1, validation_folder=False).load().x_val) == 4


def test_prediction_of_unsuitable_images_is_one_line(command):
    write_folder()
    assert command("data=images", "data.path=p", *FAST, "hydra.run.dir=run")[0] == 0
    assert command("data=iris", "steps=20", "eval_every=10", "hydra.run.dir=iris")[0] == 0
    save("large.png", gray(height=6, width=8))
    save("color.png", color())
    save("same.png", np.stack([gray(3)] * 3, axis=-1))
    save("deep.png", gray(3).astype(np.uint16) * 257)
    Path("empty").mkdir()
    for run, name, message in (
        (
            "run",
            "large.png",
            "large.png: has size [6,8] (height, width); expected [3,4], as in training; resize it, or",
        ),
        ("run", "color.png", "color.png: is a color image, and the network was trained on gray images; convert it, or"),
        ("run", "empty", "empty: has no images; expected an image (png, jpg,"),
        ("run", "none.png", "none.png: no such file"),
        ("iris", "color.png", "color.png: an image file, and the run was not trained on images of a known size"),
        ("iris", "p", "p: a folder, and the run was not trained on images"),
    ):
        status, _, err = command("predict", run, name)
        assert (status, len(err.splitlines())) == (2, 1)
        assert err.startswith(f"minitrain: FILE={message}")
    expected = load_model("run").predict(gray(3)[None]).probabilities[0, 0]
    for name in ("same.png", "deep.png"):  # nothing is lost by converting these
        assert command("predict", "run", name)[0] == 0
        assert Path("run/predictions.csv").read_text().splitlines()[1].split(",")[2] == str(expected)


def test_a_run_that_resized_and_converted_predicts_so(command):
    write_folder(color)
    arguments = ["data=images", "data.path=p", "data.size=[2,2]", "data.color=gray"]
    assert command(*arguments, *FAST, "hydra.run.dir=run")[0] == 0
    save("large.png", color(height=6, width=8))
    assert command("predict", "run", "large.png")[0] == 0
    reduced = Image.fromarray(color(height=6, width=8)).convert("L").resize((2, 2), Image.Resampling.BILINEAR)
    expected = load_model("run").predict(np.asarray(reduced)[None]).probabilities[0]
    assert Path("run/predictions.csv").read_text().splitlines()[1].split(",")[2:] == [str(p) for p in expected]


def test_runs_of_a_sweep_equal_runs_alone(command):
    write_folder(color)
    arguments = ["data=images", "data.path=p", "data.validation=0.25", "network=cnn", "network.channels=[2]", *FAST[:3]]
    assert command("-m", *arguments, "seed=0,1", "hydra.sweep.dir=swept")[0] == 0
    for seed in (0, 1):
        assert command(*arguments, f"seed={seed}", f"hydra.run.dir=run{seed}")[0] == 0
        assert Path(f"swept/{seed}/metrics.csv").read_bytes() == Path(f"run{seed}/metrics.csv").read_bytes()
