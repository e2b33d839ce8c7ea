"""A trained network: load it from a run's directory and predict.

May import `training`, `config`, `storage` and the rooms above them.
"""
