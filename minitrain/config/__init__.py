"""The config of a run: its schema, composition by Hydra and the grid of a sweep.

It may import components, data, optim and storage.
"""
