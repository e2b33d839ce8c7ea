"""Runs side by side: results read back, grouped, drawn and reported. Imports plotting and storage."""
