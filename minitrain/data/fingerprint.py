"""The fingerprint of the data that a run was trained on, by which changed data are recognized."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from minitrain.data.preprocessing import Preprocessing, preprocessing_as_json
from minitrain.data.rows import ImageRows, RowsOnDisk, row_blocks
from minitrain.errors import plural
from minitrain.typing import Array


@dataclass(frozen=True)
class Fingerprint:
    """What identifies the examples of a run.

    Attributes:
        examples: The number of examples, those for validation and testing included.
        inputs: The number of inputs.
        sha256: The SHA-256 of all examples as they are used, and of the preprocessing, in hexadecimal digits.
    """

    examples: int
    inputs: int
    sha256: str

    @classmethod
    def compute(cls, parts: Sequence[Array | RowsOnDisk | None], preprocessing: Preprocessing) -> Fingerprint:
        """The fingerprint of inputs and targets for training, validation and testing.

        Args:
            parts: Inputs [examples, inputs] and targets [examples, ...] for each of these; None is left out.
            preprocessing: How these were encoded: equal examples in other units have another fingerprint.
        """
        digest = hashlib.sha256(json.dumps(preprocessing_as_json(preprocessing)).encode())
        for part in parts:
            if part is None:
                continue
            digest.update(f"{tuple(part.shape)};".encode())
            for block in row_blocks(part):
                # The scale of images is that of the preprocessing.
                values = part.pixels(block) if isinstance(part, ImageRows) else part[block]
                digest.update(np.ascontiguousarray(values).data)
        examples = sum(len(part) for part in parts[::2] if part is not None)
        return cls(examples, preprocessing.inputs, digest.hexdigest())

    def describe_change(self, current: Fingerprint) -> str:
        """How the current data differ from these: `121 examples of 3 inputs; it was trained on 120 of 3`."""
        if (self.examples, self.inputs) == (current.examples, current.inputs):
            return f"{plural(self.examples, 'example')}, as in training, but other values, units or names"
        return (
            f"{plural(current.examples, 'example')} of {plural(current.inputs, 'input')}; "
            f"it was trained on {self.examples} of {self.inputs}"
        )
