"""Image files: those in a folder, and their pixels as arrays, read by Pillow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minitrain.data.image_format import COLORS, ImageFormat, format_size
from minitrain.data.reading import reporting_errors
from minitrain.errors import ConfigError, abbreviate
from minitrain.typing import Array

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP")  # Pillow reads no others: some of its readers start programs
HIDDEN = ("Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir")  # files and folders of operating systems
EXPECTED = f"an image ({', '.join(suffix.removeprefix('.') for suffix in SUFFIXES)})"
WHITE_8, WHITE_16 = 2**8 - 1, 2**16 - 1


@dataclass(frozen=True)
class FolderContent:
    """What a folder contains, in the order of names; hidden files are left out.

    Attributes:
        folders: Its folders.
        images: Its image files, by their suffix.
        others: Its other files.
    """

    folders: tuple[Path, ...]
    images: tuple[Path, ...]
    others: tuple[Path, ...]


def list_folder(key: str, folder: Path) -> FolderContent:
    """List a folder.

    Args:
        key: The option or argument that names the folder, for messages.
        folder: The folder.

    Raises:
        ConfigError: It cannot be read, or it contains something that is neither a file nor a folder.
    """
    folders: list[Path] = []
    images: list[Path] = []
    others: list[Path] = []
    try:
        paths = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise ConfigError(f"{key}={folder}: cannot be read ({error.strerror}); expected a folder of images") from error
    for path in paths:
        if path.name.startswith(".") or path.name in HIDDEN:
            continue
        if os.path.isdir(path):
            folders.append(path)
        elif os.path.isfile(path):
            (images if is_image(path) else others).append(path)
        else:
            raise ConfigError(f"{key}={path}: neither a file nor a folder, or a link to nothing; remove it")
    return FolderContent(tuple(folders), tuple(images), tuple(others))


def list_images(key: str, folder: Path) -> list[Path]:
    """The image files in a folder and in its folders.

    Raises:
        ConfigError: There are none, a folder cannot be read, or one of its folders contains folders.
    """
    content = list_folder(key, folder)
    images = list(content.images)
    for inner in content.folders:
        below = list_folder(key, inner)
        if below.folders:
            raise ConfigError(f"{key}={below.folders[0]}: a folder in a folder of {folder}; expected image files")
        images += below.images
    if not images:
        raise ConfigError(f"{key}={folder}: has no images; expected {EXPECTED}")
    return images


def is_image(path: Path) -> bool:
    """Whether a file has the suffix of an image."""
    return path.suffix.lower() in SUFFIXES


@dataclass(frozen=True)
class ImageHeader:
    """What is known of an image file before its pixels are read.

    Attributes:
        path: The file.
        size: Height and width.
        has_color: Whether it has colors.
        white: The value of its brightest pixel.
        has_alpha: Whether pixels may be transparent.
    """

    path: Path
    size: tuple[int, int]
    has_color: bool
    white: int
    has_alpha: bool


def read_header(key: str, path: Path) -> ImageHeader:
    """Read the size and the colors of an image file.

    Args:
        key: The option or argument that names the file, for messages.
        path: The file.

    Raises:
        ConfigError: The file is not an image, or its pixels are neither of 8 nor of 16 bits.
    """
    with _open(key, path) as image:
        width, height = image.size
        if _orientation(image) in _ROTATED:
            width, height = height, width
        is_16_bit = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
        if image.mode in ("I", "F") and not is_16_bit:
            raise ConfigError(f"{key}={path}: has pixels of 32 bits; expected 8 or 16, or an array as npz or npy file")
        has_alpha = "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info
        has_color = image.mode not in ("1", "L", "LA", "La") and not is_16_bit
        return ImageHeader(path, (height, width), has_color, WHITE_16 if is_16_bit else WHITE_8, has_alpha)


_ROTATED = (5, 6, 7, 8)  # orientations in which height and width are exchanged


def _orientation(image: Image) -> int:
    """How a camera was held, as numbered by the EXIF standard: 1 is upright."""
    if image.format not in ("JPEG", "MPO", "TIFF", "WEBP"):  # of a png file, Pillow would read all pixels first
        return 1
    return int(image.getexif().get(0x0112, 1))


def read_pixels(key: str, header: ImageHeader, image_format: ImageFormat) -> Array:
    """The pixels of an image file, converted to a size and colors: [channels, height, width].

    Transparent pixels are drawn on white. Pixels are numbers up to the white of the format, which are integers unless
    16 bits are converted to 8.

    Args:
        key: The option or argument that names the file, for messages.
        header: The file.
        image_format: The format; its channels are 1 or 3.

    Raises:
        ConfigError: The file is damaged.
    """
    from PIL import ImageOps

    with _open(key, header.path) as image:
        upright = image if _orientation(image) == 1 else ImageOps.exif_transpose(image)
        converted = _convert(upright, header, image_format.channels == 3)
        size = image_format.width, image_format.height
        pixels = np.asarray(converted if converted.size == size else _resize(converted, size))
    pixels = pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    if header.white < image_format.white:
        return pixels.astype(np.uint16) * (image_format.white // header.white)
    return pixels if header.white == image_format.white else pixels / (header.white // image_format.white)


def _convert(image: Image, header: ImageHeader, to_color: bool) -> Image:
    """An image as gray of 8 or 16 bits, or as RGB of 8 bits."""
    from PIL import Image as PillowImage

    if header.white == WHITE_16:
        if not to_color:
            return image
        raise ConfigError(f"{header.path}: has 16 bits, which only gray images can have; expected 8 bits")
    if header.has_alpha:
        image = image.convert("RGBA")
        image = PillowImage.alpha_composite(PillowImage.new("RGBA", image.size, "white"), image)
    return image.convert("RGB" if to_color else "L")


def _resize(image: Image, size: tuple[int, int]) -> Image:
    """An image of another size, by linear interpolation that averages all pixels that it reduces."""
    from PIL import Image as PillowImage

    if image.mode in ("L", "RGB"):
        return image.resize(size, PillowImage.Resampling.BILINEAR)
    resized = np.asarray(
        PillowImage.fromarray(np.asarray(image, np.float32)).resize(size, PillowImage.Resampling.BILINEAR)
    )
    return PillowImage.fromarray(np.rint(resized).astype(np.uint16))


@contextmanager
def _open(key: str, path: Path) -> Iterator[Image]:
    """An image file, whose pixels are not read yet; every error is one line that names the file."""
    from PIL import Image as PillowImage
    from PIL import UnidentifiedImageError

    with reporting_errors(key, path, EXPECTED), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of metadata that are not used
        warnings.simplefilter("error", PillowImage.DecompressionBombWarning)
        try:
            with PillowImage.open(path, formats=FORMATS) as image:
                if getattr(image, "n_frames", 1) > 1 and image.format in FORMATS:
                    raise ConfigError(f"{key}={path}: has several frames or pages; expected one image per file")
                yield image
        except UnidentifiedImageError as error:
            raise ConfigError(f"{key}={path}: is not an image that can be read; expected {EXPECTED}") from error
        except (PillowImage.DecompressionBombWarning, PillowImage.DecompressionBombError) as error:
            raise ConfigError(
                f"{key}={path}: has more than {PillowImage.MAX_IMAGE_PIXELS:,} pixels, Pillow's limit against attacks; "
                "scale it down"
            ) from error


def require_equal(headers: Sequence[ImageHeader], advice: str) -> None:
    """Check that images have the same size.

    Raises:
        ConfigError: Two of them do not; the message names both.
    """
    first = headers[0]
    for header in headers:
        if header.size != first.size:
            raise ConfigError(
                f"{first.path} has size {format_size(first.size)} and {header.path} "
                f"{format_size(header.size)} (height, width); {advice}"
            )


def read_images(key: str, paths: Sequence[Path], image_format: ImageFormat) -> Array:
    """Image files as images of a given format, for a network that was trained on such: [n, channels, height, width].

    Files of another size or color are converted if those of the training data were. Colors that are equal in all
    channels are gray, and gray images are also color images: converting these loses nothing.

    Raises:
        ConfigError: A file is damaged, or has another size or other colors.
    """
    if image_format.channels not in COLORS or not image_format.white:
        raise ConfigError(
            f"{key}={paths[0]}: is an image file, and the network was trained on {image_format.describe()} in an array "
            "whose brightest value is not known; expected an npz, npy or idx file"
        )
    headers = [read_header(key, path) for path in paths]
    size = image_format.height, image_format.width
    for path, header in zip(paths, headers, strict=True):
        if header.size != size and not image_format.resizes:
            raise ConfigError(
                f"{key}={path}: has size {format_size(header.size)} (height, width); expected {format_size(size)}, as "
                "in training; resize it, or train with data.size"
            )
    is_exact = all(header.white <= image_format.white for header in headers)
    x = np.empty((len(paths), *image_format.shape), image_format.dtype if is_exact else np.float64)
    for i, header in enumerate(headers):
        x[i] = _read_in_colors(key, header, image_format)
    return x


def _read_in_colors(key: str, header: ImageHeader, image_format: ImageFormat) -> Array:
    if header.has_color and image_format.channels == 1 and not image_format.converts:
        in_color = ImageFormat(3, image_format.height, image_format.width, image_format.white)
        pixels = read_pixels(key, header, in_color)
        if (pixels != pixels[0]).any():
            raise ConfigError(
                f"{key}={header.path}: is a color image, and the network was trained on gray images; convert it, or "
                "train with data.color=gray"
            )
        return pixels[:1]
    return read_pixels(key, header, image_format)


def describe_files(paths: Sequence[Path], folder: Path) -> str:
    """The first of some files in a folder, as text."""
    return abbreviate(", ".join(path.relative_to(folder).as_posix() for path in paths))
