"""Small real datasets that ship with minitrain, with the values of scikit-learn (assets/LICENSE.txt)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from minitrain.data.dataset import Dataset, with_label_names
from minitrain.data.splitting import RegressionSplitOptions, SplitOptions
from minitrain.registry import register
from minitrain.typing import Array


def _read(name: str) -> tuple[Array, Array]:
    with (files("minitrain") / "data" / "assets" / "datasets.npz").open("rb") as file, np.load(file) as arrays:
        return arrays[f"{name}_x"].astype(np.float64), arrays[f"{name}_y"].astype(np.int64)


@register("data", "digits")
@dataclass(frozen=True)
class Digits(SplitOptions):
    """1,797 handwritten digits of 8 x 8 pixels (Alpaydin and Kaynak 1998).

    >>> Digits().load().describe()
    '1,438 training and 359 validation examples, 64 inputs, 10 classes'
    """

    def load(self) -> Dataset:
        """Read the examples."""
        return self.split(*_read("digits"))


@register("data", "iris")
@dataclass(frozen=True)
class Iris(SplitOptions):
    """Length and width of sepals and petals in cm of 150 irises of three species (Fisher 1936).

    >>> Iris().load().describe()
    '120 training and 30 validation examples, 4 inputs, 3 classes'
    """

    def load(self) -> Dataset:
        """Read the examples."""
        return with_label_names(self.split(*_read("iris")), ("setosa", "versicolor", "virginica"))


@register("data", "wine")
@dataclass(frozen=True)
class Wine(SplitOptions):
    """Chemical analyses of 178 wines of three growers (Forina et al.).

    >>> Wine().load().describe()
    '142 training and 36 validation examples, 13 inputs, 3 classes'
    """

    def load(self) -> Dataset:
        """Read the examples."""
        return self.split(*_read("wine"))


@register("data", "breast_cancer")
@dataclass(frozen=True)
class BreastCancer(SplitOptions):
    """Shape of cell nuclei in 569 tumors, malignant (0) or benign (1) (Street, Wolberg and Mangasarian 1993).

    >>> BreastCancer().load().describe()
    '455 training and 114 validation examples, 30 inputs, 2 classes'
    """

    def load(self) -> Dataset:
        """Read the examples."""
        return with_label_names(self.split(*_read("breast_cancer")), ("malignant", "benign"))


@register("data", "diabetes")
@dataclass(frozen=True)
class Diabetes(RegressionSplitOptions):
    """Disease progression after one year from ten measurements of 442 diabetes patients (Efron et al. 2004).

    >>> Diabetes().load().describe()
    '354 training and 88 validation examples, 10 inputs, 1 number to predict'
    """

    def load(self) -> Dataset:
        """Read the examples."""
        x, y = _read("diabetes")
        return self.split(x, y.astype(np.float64))
