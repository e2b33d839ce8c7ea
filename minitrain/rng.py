"""Random numbers: each is a function of a seed, a purpose and a block.

Generators are never shared, so that resuming a run, grouping runs or adding a layer does not change any other random
number, and no state of a generator must be stored.
"""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str, block: int = 0) -> np.random.Generator:
    """Create a generator in its initial state.

    Args:
        seed: The seed of the run or of the data.
        purpose: What the numbers are for, such as "shuffle" or "init".
        block: A part of the purpose, such as an epoch or a layer.

    >>> first, again = generator(0, "shuffle", 3), generator(0, "shuffle", 3)
    >>> bool(first.random() == again.random())
    True
    """
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), block])
