"""Results read from run directories, grouped, ranked, drawn and reported.

May import `plotting`, `storage` and the rooms above them.
"""
