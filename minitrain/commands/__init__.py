"""One file per command of the command line. Imports every other room."""
