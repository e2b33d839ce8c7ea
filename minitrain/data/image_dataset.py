"""The dataset of a folder of image files, with a folder for each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from minitrain.data.dataset import Dataset, with_label_names
from minitrain.data.image_files import (
    WHITE_8,
    WHITE_16,
    ImageHeader,
    describe_files,
    list_folder,
    read_header,
    read_pixels,
    require_equal,
)
from minitrain.data.image_format import ImageFormat, format_size
from minitrain.data.reading import require_file
from minitrain.data.splitting import SplitOptions, check_validation_is_default
from minitrain.errors import ConfigError, abbreviate, plural
from minitrain.options import option
from minitrain.registry import register

TRAINING_FOLDER = "train"
VALIDATION_FOLDERS = ("val", "valid", "validation", "test")  # the first that exists
KEY = "data.path"
KIND = "a folder with a folder of images for each class"

Examples = dict[str, tuple[Path, ...]]  # the name of a class -> its image files


@register("data", "images")
@dataclass(frozen=True)
class Images(SplitOptions):
    """Image files (png, jpg and others) in a folder for each class, FOLDER/CLASS/FILE.png, whose name is the class.

    If FOLDER has the folders train and val, these have the folders of the classes, and val the validation examples.
    Images are standardized by one mean and deviation per channel; with standardize=false, black is 0 and white is 1.
    """

    path: str | None = option(
        None, "the folder with a folder for each class, relative to the current directory; required", is_path=True
    )
    size: list[int] | None = option(
        None, "height and width that images are resized to; null: all images have the same size", at_least=1
    )
    color: str | None = option(
        None, "gray or rgb: convert all images; null: all images are gray, or all have colors", choices=("gray", "rgb")
    )
    validation_folder: bool = option(
        True, "whether the images in FOLDER/val are the validation examples; false: a fraction of FOLDER/train"
    )

    def load(self) -> Dataset:
        """Read the files.

        Raises:
            ConfigError: A folder or a file is missing or damaged, or images differ in size or color.
        """
        if self.size is not None and len(self.size) != 2:
            raise ConfigError(f"data.size={self.size}: expected height and width, such as data.size=[32,32]")
        parts, notes = self._find_examples()
        names = tuple(parts[0])
        headers = [read_header(KEY, path) for part in parts for paths in part.values() for path in paths]
        image = self._choose_format(headers)
        x = np.empty((len(headers), *image.shape), image.dtype)
        for i, header in enumerate(headers):
            x[i] = read_pixels(KEY, header, image)
        y = np.array([names.index(name) for part in parts for name, paths in part.items() for _ in paths])
        partition = self.take_partition(y, sum(map(len, parts[0].values()))) if len(parts) > 1 else None
        if count := sum(header.has_alpha for header in headers):
            notes.append(f"{plural(count, 'image')} with transparency drawn on white")
        return replace(with_label_names(self.split(x, y, partition, image), names), notes=tuple(notes))

    def files(self) -> list[Path]:
        """The image files."""
        parts, _ = self._find_examples()
        return [path for part in parts for paths in part.values() for path in paths]

    def _find_examples(self) -> tuple[list[Examples], list[str]]:
        """The image files for training and, if they have a folder of their own, for validation; and notes."""
        folder = require_file(KEY, self.path, KIND, or_folder=True)
        if not folder.is_dir():
            raise ConfigError(f"{KEY}={self.path}: a file; expected {KIND}")
        training, validation, notes = self._find_parts(folder)
        parts = [_list_classes(training, folder, notes)]
        names = list(parts[0])
        if len(names) < 2:
            raise ConfigError(
                f"{KEY}={training}: has one folder, {names[0]}; expected a folder for each of the classes"
            )
        if validation is not None:
            parts.append(_list_classes(validation, folder, notes))
            if unknown := [name for name in parts[1] if name not in names]:
                raise ConfigError(
                    f"{KEY}={validation / unknown[0]}: {training} has no such class; classes: "
                    f"{abbreviate(', '.join(names))}"
                )
        return parts, notes

    def _find_parts(self, folder: Path) -> tuple[Path, Path | None, list[str]]:
        """The folders of the training examples and of the validation examples, if there are any, and notes."""
        names = [path.name for path in list_folder(KEY, folder).folders]
        training = folder / TRAINING_FOLDER
        if training.name not in names or not list_folder(KEY, training).folders:
            return folder, None, []
        used = [name for name in VALIDATION_FOLDERS if name in names][:1] if self.validation_folder else []
        notes = [f"folder {name} is not used" for name in names if name not in (training.name, *used)]
        if not used:
            return training, None, notes
        check_validation_is_default(self, folder / used[0], "data.validation_folder=false")
        return training, folder / used[0], notes

    def _choose_format(self, headers: Sequence[ImageHeader]) -> ImageFormat:
        """The format that all images have, or are converted to."""
        if self.size is None:
            require_equal(
                headers, f"set data.size=[H,W], such as data.size={format_size(headers[0].size)}, to resize all"
            )
        colored = [header for header in headers if header.has_color]
        if self.color is None and 0 < len(colored) < len(headers):
            gray = next(header for header in headers if not header.has_color)
            raise ConfigError(
                f"{gray.path} is gray and {colored[0].path} has colors; set "
                "data.color=gray or data.color=rgb to convert all"
            )
        channels = 3 if self.color == "rgb" or (colored and self.color is None) else 1
        has_16_bits = channels == 1 and any(header.white == WHITE_16 for header in headers)
        height, width = headers[0].size if self.size is None else self.size
        white = WHITE_16 if has_16_bits else WHITE_8
        return ImageFormat(
            channels, height, width, white, resizes=self.size is not None, converts=self.color is not None
        )


def _list_classes(folder: Path, root: Path, notes: list[str]) -> Examples:
    """The image files of each class, by its name; notes about other files are added.

    Raises:
        ConfigError: There is no folder, or one has no images or contains folders.
    """
    content = list_folder(KEY, folder)
    if content.images:
        path = content.images[0]
        raise ConfigError(
            f"{KEY}={path}: an image outside of the folders of the classes; expected {folder / 'CLASS' / path.name}"
        )
    if not content.folders:
        raise ConfigError(f"{KEY}={folder}: has no folders; expected a folder of images for each class")
    examples, others = {}, list(content.others)
    for path in content.folders:
        inner = list_folder(KEY, path)
        if inner.folders:
            raise ConfigError(
                f"{KEY}={inner.folders[0]}: a folder among the images of a class; expected {path / 'FILE.png'}"
            )
        if not inner.images:
            raise ConfigError(f"{KEY}={path}: has no images; add images of this class, or remove the folder")
        try:
            path.name.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{KEY}={path}: the name is not valid Unicode; rename the folder") from error
        examples[path.name] = inner.images
        others += inner.others
    if others:
        are = "files that are no images are" if len(others) > 1 else "file that is no image is"
        notes.append(f"{len(others):,} {are} not used ({describe_files(others, root)})")
    return examples
