"""Figures of runs, predictions and computation graphs.

May import `inference`, `training`, `storage` and the rooms above them.
"""
