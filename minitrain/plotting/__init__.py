"""Figures of runs, predictions and graphs. Imports inference, training and storage."""
