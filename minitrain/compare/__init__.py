"""Runs side by side, read from their directories alone: `minitrain compare`, and what every sweep ends with."""
