"""Experiments: built from a config, trained step by step by an engine, and recorded on disk.

Imports from config, components, compiler, data, nn, optim and storage.
"""
