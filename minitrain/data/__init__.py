"""Datasets: bundled, generated, and a person's own files."""

from minitrain.data.bundled import BreastCancer, Diabetes, Digits, Iris, Wine
from minitrain.data.dataset import Dataset, RegressionSplit, Rows, Split, blocks
from minitrain.data.files import CSV, NPY, NPZ
from minitrain.data.generated import Blobs, Circles, ModularAddition, Moons, Point, Polynomials, Sine, Spirals, Xor

__all__ = [
    "CSV",
    "NPY",
    "NPZ",
    "Blobs",
    "BreastCancer",
    "Circles",
    "Dataset",
    "Diabetes",
    "Digits",
    "Iris",
    "ModularAddition",
    "Moons",
    "Point",
    "Polynomials",
    "RegressionSplit",
    "Rows",
    "Sine",
    "Spirals",
    "Split",
    "Wine",
    "Xor",
    "blocks",
]
