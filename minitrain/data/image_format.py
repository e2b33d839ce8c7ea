"""The inputs of an example as an image: its channels, height and width, and the axes of arrays of images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minitrain.typing import Array, DType, Shape

AXES = ("hw", "hwc", "chw")  # of an image in an array: h height, w width, c channels
COLORS = {1: "gray", 3: "color"}


@dataclass(frozen=True)
class ImageFormat:
    """The inputs of an example as an image; they are in the order channels, height, width.

    Attributes:
        channels: The number of channels: 1 for gray, 3 for red, green and blue.
        height, width: The size in pixels.
        white: The value of the brightest pixel, to which image files are scaled; 0 if it is not known.
        channels_last: Whether arrays are [examples, height, width, channels] rather than [examples, channels, ...].
        resizes, converts: Whether image files of other sizes, and of other colors, are converted.

    >>> ImageFormat(3, 32, 48, 255).shape, ImageFormat(3, 32, 48, 255).describe()
    ((3, 32, 48), '32 x 48 color images')
    """

    channels: int
    height: int
    width: int
    white: int
    channels_last: bool = True
    resizes: bool = False
    converts: bool = False

    @classmethod
    def of(cls, x: Array, channels_last: bool = True, resizes: bool = False, converts: bool = False) -> ImageFormat:
        """The format of images [examples, channels, height, width]."""
        channels, height, width = x.shape[1:]
        return cls(channels, height, width, white_of(x.dtype), channels_last, resizes, converts)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The sizes of an image: channels, height, width."""
        return self.channels, self.height, self.width

    @property
    def pixels(self) -> int:
        """The number of pixels of one channel."""
        return self.height * self.width

    @property
    def dtype(self) -> str:
        """The type of pixels of image files, up to white."""
        return "uint8" if self.white < 2**8 else "uint16"

    def describe(self) -> str:
        """Height, width and color as text."""
        color = COLORS.get(self.channels)
        size = f"{self.height} x {self.width}"
        return f"{size} {color} images" if color else f"{size} images of {self.channels} channels"

    def array_shapes(self) -> list[Shape]:
        """The shapes that an example may have in an array, the one of the training data first."""
        first, last = self.shape, (self.height, self.width, self.channels)
        shapes: list[Shape] = [last, first] if self.channels_last else [first, last]
        if self.channels == 1:
            shapes.insert(0, last[:2])
        if self.channels == 1 or not self.channels_last:
            shapes.append((self.channels * self.pixels,))
        return list(dict.fromkeys(shapes))

    def to_inputs(self, x: Array) -> Array | None:
        """An array of images [examples, ...] as [examples, inputs]; None if an example has none of `array_shapes`.

        >>> ImageFormat(3, 1, 2, 255).to_inputs(np.arange(6).reshape(1, 1, 2, 3))
        array([[0, 3, 1, 4, 2, 5]])
        """
        shapes = self.array_shapes()
        if x.shape[1:] not in shapes:
            return None
        is_last = x.shape[1:] == (self.height, self.width, self.channels)
        if is_last and (self.channels_last or x.shape[1:] != self.shape):
            x = to_channels_first(x, "hwc")
        return x.reshape(len(x), -1)


def format_size(size: tuple[int, int]) -> str:
    """Height and width as the value of an option.

    >>> format_size((28, 32))
    '[28,32]'
    """
    return f"[{size[0]},{size[1]}]"


def to_channels_first(x: Array, axes: str) -> Array:
    """A view [examples, channels, height, width] of an array of images, whose axes are one of `AXES`."""
    if axes == "hw":
        return x[:, np.newaxis]
    return np.moveaxis(x, -1, 1) if axes == "hwc" else x


def white_of(dtype: DType) -> int:
    """The value of the brightest pixel of unsigned integers of 1 or 2 bytes; 0 if it is not known.

    >>> white_of(np.dtype(np.uint8)), white_of(np.dtype(np.float32))
    (255, 0)
    """
    return int(np.iinfo(dtype).max) if dtype.kind == "u" and dtype.itemsize <= 2 else 0
