"""Datasets: bundled, generated, and read from the user's files. Imports storage and the loose modules."""

from minitrain.data.arrays import ArrayData
from minitrain.data.bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from minitrain.data.dataset import Dataset, FolderDataset
from minitrain.data.files import NPY, NPZ
from minitrain.data.generated import Blobs, Circles, ModularAddition, Moons, Point, Polynomials, Sine, Spirals, Xor
from minitrain.data.idx_dataset import IDX
from minitrain.data.image_dataset import Images
from minitrain.data.partition import Partition
from minitrain.data.preprocessing import Column, Preprocessing, Scale
from minitrain.data.rows import ImageRows, RowsOnDisk, row_blocks
from minitrain.data.splitting import RegressionSplitOptions, SplitOptions
from minitrain.data.table_dataset import CSV

__all__ = [
    "CSV",
    "IDX",
    "NPY",
    "NPZ",
    "ArrayData",
    "Blobs",
    "BreastCancer",
    "Circles",
    "Column",
    "Dataset",
    "Diabetes",
    "Digits",
    "FolderDataset",
    "ImageRows",
    "Images",
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
