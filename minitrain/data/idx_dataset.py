"""The dataset of IDX files, in the layout of MNIST: images and labels, for training and for validation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minitrain.data.dataset import Dataset, with_label_names
from minitrain.data.idx import IDXFile, open_idx
from minitrain.data.image_format import AXES, ImageFormat, to_channels_first
from minitrain.data.partition import Partition
from minitrain.data.reading import require_file
from minitrain.data.splitting import check_validation_is_default
from minitrain.data.targets import FileOptions
from minitrain.errors import ConfigError, abbreviate
from minitrain.options import option
from minitrain.registry import register
from minitrain.typing import Array

KIND = "an IDX file of images, or a folder with train-images-idx3-ubyte and train-labels-idx1-ubyte"
_TRAINING = re.compile(r"train[-_.]images")


@register("data", "idx")
@dataclass(frozen=True)
class IDX(FileOptions):
    """IDX files, also compressed by gzip, in the layout of MNIST: images [examples, height, width] and their labels.

    A folder has train-images-idx3-ubyte and train-labels-idx1-ubyte, and may have t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte (or test-...), which are the validation examples. Images are standardized by one mean and
    deviation per channel; with standardize=false, unsigned pixels are divided by their largest value.
    """

    path: str | None = option(
        None,
        "a folder with files named as those of MNIST, or the file of training images, relative to the current "
        "directory; required",
        is_path=True,
    )
    labels: str | None = option(None, "file of the labels; null: the one beside the images, by its name", is_path=True)
    path_val: str | None = option(
        None, "file of validation images; null: the t10k or test images beside the training images", is_path=True
    )
    labels_val: str | None = option(
        None, "file of their labels; null: the one beside those images, by its name", is_path=True
    )
    validation_files: bool = option(
        True, "whether the t10k or test files are the validation examples; false: a fraction of the training examples"
    )
    axes: str | None = option(
        None,
        "axes of an image in files of 4 dimensions: height, width, channels (hwc), or channels first (chw)",
        choices=AXES[1:],
    )

    def load(self) -> Dataset:
        """Read the files.

        Raises:
            ConfigError: A file is missing or damaged, or does not fit the others.
        """
        files = self._pairs()
        if len(files) > 1:
            check_validation_is_default(self, files[1][0].path, "data.validation_files=false")
        first, last = files[0][0], files[-1][0]
        if (first.shape[1:], first.dtype) != (last.shape[1:], last.dtype):
            raise ConfigError(
                f"{first.path} has {first.describe()} and {last.path} {last.describe()}; expected examples of the same "
                "shape and type for validation as for training"
            )
        x = _read_joined([images for images, _ in files])
        y = np.concatenate([labels.read() for _, labels in files])
        target, class_names = self.encode_array(y, str(files[0][1].path))
        partition = self.take_partition(target, first.shape[0]) if len(files) > 1 else None
        return with_label_names(self._split_images(x, target, partition), class_names)

    def files(self) -> list[Path]:
        """The files of images and labels."""
        return [file.path for pair in self._pairs() for file in pair]

    def _split_images(self, x: Array, y: Array, partition: Partition | None) -> Dataset:
        if x.ndim < 3:
            return self.split(x.astype(np.float64), y, partition)
        if x.ndim > 4 or (x.ndim == 4) != (self.axes is not None):
            expected = "images are [examples, height, width]; set data.axes=null"
            if x.ndim > 3:
                expected = f"expected data.axes={' or data.axes='.join(AXES[1:])}, the order of the axes of an image"
            raise ConfigError(
                f"{self.path}: has shape {list(x.shape)}, and data.axes={abbreviate(self.axes)}; {expected}"
            )
        images = np.ascontiguousarray(to_channels_first(x, self.axes or "hw"))
        image = ImageFormat.of(images, channels_last=self.axes != "chw")
        return self.split(images, y, partition, image)

    # Files

    def _pairs(self) -> list[tuple[IDXFile, IDXFile]]:
        """The files of images and their labels: for training and, if there are any, for validation."""
        training = self._training_files()
        validation = self._validation_files(training[0])
        return [training] if validation is None else [training, validation]

    def _training_files(self) -> tuple[IDXFile, IDXFile]:
        path = require_file("data.path", self.path, KIND, or_folder=True)
        if path.is_dir():
            names = [name for name in _names(path) if _TRAINING.search(name)]
            path = path / _choose("data.path", path, names, "train-images-idx3-ubyte", "set data.path=FILE")
        return open_pair("data.path", path, "data.labels", self.labels)

    def _validation_files(self, training: IDXFile) -> tuple[IDXFile, IDXFile] | None:
        """The files that options name, or those beside the training images; None if there are none."""
        if self.path_val is not None:
            path = require_file("data.path_val", self.path_val, "an IDX file of images")
            return open_pair("data.path_val", path, "data.labels_val", self.labels_val)
        folder, match = training.path.parent, _TRAINING.search(training.path.name)
        if match is None or not self.validation_files:
            if self.labels_val is not None:
                raise ConfigError(f"data.labels_val={self.labels_val}: without images; set data.path_val=FILE, too")
            return None
        start = training.path.name[: match.start()]
        pattern = re.compile(re.escape(start) + r"(t10k|test)[-_.]images")
        names = [name for name in _names(folder) if pattern.match(name)]
        if not names:
            return None
        path = folder / _choose("data.path", folder, names, "t10k-images-idx3-ubyte", "set data.path_val=FILE")
        return open_pair("data.path_val", path, "data.labels_val", self.labels_val)


def open_pair(
    key: str, images: Path, labels_key: str, labels: str | None = None, advice: str = ""
) -> tuple[IDXFile, IDXFile]:
    """Open the files of images and of their labels.

    Args:
        key: The option or argument that names the images, for messages.
        images: The file of images.
        labels_key: The option of the labels, for messages.
        labels: The file of labels; None for the one beside the images, by its name.
        advice: What to do if there is none; to set the option by default.

    Raises:
        ConfigError: A file is missing or damaged, or their numbers of examples differ.
    """
    file = open_idx(key, images)
    if len(file.shape) < 2:
        raise ConfigError(
            f"{key}={images}: has {file.describe()}, as labels have; expected images [examples, height, width]"
        )
    if labels is None:
        start, has_images, _ = images.name.rpartition("images")
        names = [name for name in _names(images.parent) if name.startswith(f"{start}labels")] if has_images else []
        expected = f"{start or 'train-'}labels-idx1-ubyte"
        path = images.parent / _choose(key, images.parent, names, expected, advice or f"set {labels_key}=FILE")
    else:
        path = require_file(labels_key, labels, "an IDX file of labels")
    other = open_idx(labels_key, path)
    if len(other.shape) != 1:
        raise ConfigError(f"{labels_key}={path}: has {other.describe()}; expected labels [examples]")
    if file.shape[0] != other.shape[0]:
        raise ConfigError(
            f"{images} has {file.shape[0]:,} images and {path} {other.shape[0]:,} labels; expected one label per image"
        )
    return file, other


def _names(folder: Path) -> list[str]:
    """The names of the files in a folder.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise ConfigError(f"data.path={folder}: cannot be read ({error.strerror}); expected {KIND}") from error


def _choose(key: str, folder: Path, names: Sequence[str], expected: str, advice: str) -> str:
    """The only one of some names, of which a compressed file may be beside the file itself.

    Raises:
        ConfigError: There is no name, or there are several.
    """
    names = [name for name in names if name.removesuffix(".gz") == name or name.removesuffix(".gz") not in names]
    if len(names) == 1:
        return names[0]
    if names:
        raise ConfigError(f"{key}={folder}: has the files {abbreviate(', '.join(names))}; expected one; {advice}")
    raise ConfigError(
        f"{key}={folder}: has no file {expected}; files: {abbreviate(', '.join(_names(folder)) or 'none')}; rename "
        f"it, or {advice}"
    )


def _read_joined(files: Sequence[IDXFile]) -> Array:
    """The arrays of several files, one after another."""
    sizes = [file.shape[0] for file in files]
    x = np.empty((sum(sizes), *files[0].shape[1:]), files[0].dtype)
    for file, part in zip(files, np.split(x, np.cumsum(sizes)[:-1]), strict=True):
        file.read(part)
    return x
