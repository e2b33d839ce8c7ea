"""The files of a run's directory, written atomically and read with checks. Imports nothing but typing and errors."""
