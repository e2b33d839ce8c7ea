"""The version of the package, which summaries record."""

__version__ = "0.1.0"
