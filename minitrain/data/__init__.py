"""Datasets: bundled, generated, and read from the user's files. Imports storage and the loose modules."""

from minitrain.data.bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from minitrain.data.dataset import Dataset
from minitrain.data.files import NPY, NPZ
from minitrain.data.generated import Blobs, Circles, ModularAddition, Moons, Point, Polynomials, Sine, Spirals, Xor
from minitrain.data.partition import Partition
from minitrain.data.preprocessing import Column, Preprocessing, Scale
from minitrain.data.rows import RowsOnDisk, row_blocks
from minitrain.data.splitting import RegressionSplitOptions, SplitOptions
from minitrain.data.table_dataset import CSV

__all__ = [
    "CSV",
    "NPY",
    "NPZ",
    "Blobs",
    "BreastCancer",
    "Circles",
    "Column",
    "Dataset",
    "Diabetes",
    "Digits",
    "Iris",
    "ModularAddition",
    "Moons",
    "Partition",
    "Point",
    "Polynomials",
    "Preprocessing",
    "RegressionSplitOptions",
    "RowsOnDisk",
    "Scale",
    "Sine",
    "Spirals",
    "SplitOptions",
    "Wine",
    "Xor",
    "row_blocks",
]
