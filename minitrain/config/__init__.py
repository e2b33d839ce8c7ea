"""The config of a run: its schema, composition by Hydra and the grid of a sweep. Imports components, data, optim and storage."""
