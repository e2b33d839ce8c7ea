"""The commit that is checked out in a git repository, read from its files: starting git takes longer."""

from __future__ import annotations

import re
from pathlib import Path


def repository_of(folder: Path) -> Path | None:
    """The root of the repository that a folder is in; None if it is in none."""
    return next((root for root in (folder, *folder.parents) if (root / ".git").exists()), None)


def head_commit(root: Path) -> str | None:
    """The commit that is checked out; None if there is none, or it cannot be read.

    Args:
        root: The root of the repository, of one of its worktrees, or of a submodule.
    """
    try:
        directory = root / ".git"
        if directory.is_file():  # of a worktree or a submodule
            directory = root / directory.read_text("utf-8").removeprefix("gitdir:").strip()
        shared = directory
        if (directory / "commondir").exists():
            shared = directory / (directory / "commondir").read_text("utf-8").strip()
        if (shared / "reftable").exists():
            return _ask_git(root)
        head = (directory / "HEAD").read_text("utf-8").strip()
        name = head.removeprefix("ref: ")
        return _as_commit(head if name == head else _read_branch(shared, name))
    except (OSError, ValueError):
        return None


def _read_branch(directory: Path, name: str) -> str:
    """What a branch refers to: `refs/heads/main` has a file of its own, or a line in packed-refs."""
    path = directory / name
    if path.is_file():
        return path.read_text("utf-8").strip()
    for line in (directory / "packed-refs").read_text("utf-8").splitlines():
        commit, _, packed = line.partition(" ")
        if packed == name:
            return commit
    return ""


def _ask_git(root: Path) -> str | None:
    """The commit of a repository whose branches are in a binary file."""
    import subprocess  # imported here: few repositories need it

    command = ["git", "-C", str(root), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return None
    return _as_commit(result.stdout.strip())


def _as_commit(text: str) -> str | None:
    return text if re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", text) else None
