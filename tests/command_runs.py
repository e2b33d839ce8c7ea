"""Helpers for tests of the command line: a short run, background processes, and what a directory contains."""

import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

FAST = ("data=moons", "data.samples=100", "network.widths=[8]", "batch_size=16", "steps=40", "eval_every=10")


def only(pattern):
    """The one path that matches."""
    (path,) = Path().glob(pattern)
    return path


def is_picture(path):
    if path.suffix == ".svg":
        return ElementTree.parse(path).getroot().tag.endswith("svg")
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def start(directory, *arguments):
    """Start a command in the background; both its streams are in `stdout`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "minitrain", *arguments], cwd=directory, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)
