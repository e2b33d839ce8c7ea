"""The commit of a repository, read from its files, is what git says."""

import shutil
import subprocess

import pytest

from minitrain.storage import maker
from minitrain.storage.git import head_commit, repository_of
from minitrain.version import __version__

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
NAME = ["-c", "user.name=a", "-c", "user.email=a@b"]


def git(folder, *arguments):
    result = subprocess.run(["git", "-C", str(folder), *NAME, *arguments], capture_output=True, text=True, check=True)
    return result.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    git(root, "init", "-q")
    for message in ("first", "second"):
        git(root, "commit", "-q", "--allow-empty", "-m", message)
    return root


def test_branch(repository):
    assert head_commit(repository) == git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "some/topic", "HEAD~1")
    assert head_commit(repository) == git(repository, "rev-parse", "HEAD")


def test_packed_branches(repository):
    git(repository, "branch", "other", "HEAD~1")
    git(repository, "pack-refs", "--all")
    assert head_commit(repository) == git(repository, "rev-parse", "HEAD")


def test_detached_head(repository):
    git(repository, "checkout", "-q", "--detach", "HEAD~1")
    assert head_commit(repository) == git(repository, "rev-parse", "HEAD")


@pytest.mark.parametrize("packed", [False, True])
def test_worktree(repository, tmp_path, packed):
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"), "-b", "topic", "HEAD~1")
    if packed:
        git(repository, "pack-refs", "--all")
    assert head_commit(tmp_path / "tree") == git(tmp_path / "tree", "rev-parse", "HEAD")


def test_submodule(repository, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    git(outer, "init", "-q")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repository), "inner")
    assert head_commit(outer / "inner") == git(repository, "rev-parse", "HEAD")


def test_branches_in_a_binary_file(tmp_path):
    if subprocess.run(["git", "init", "-q", "--ref-format=reftable", str(tmp_path)], capture_output=True).returncode:
        pytest.skip("this version of git has no reftable")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert head_commit(tmp_path) == git(tmp_path, "rev-parse", "HEAD")


@pytest.mark.parametrize("head", [None, "", "ref: refs/heads/none", "ref: refs/heads/text", "junk", b"\xff"])
def test_no_commit(tmp_path, head):
    folder = tmp_path / ".git"
    (folder / "refs/heads").mkdir(parents=True)
    (folder / "refs/heads/text").write_text("not a commit")
    if head is not None:
        (folder / "HEAD").write_bytes(head if isinstance(head, bytes) else head.encode())
    assert head_commit(tmp_path) is None


def test_repository_of_a_folder(repository):
    (repository / "a" / "b").mkdir(parents=True)
    assert repository_of(repository / "a" / "b") == repository
    assert repository_of(repository.parent) is None


def test_version_has_the_commit_of_its_checkout(repository, monkeypatch):
    try:
        monkeypatch.setattr(maker, "__file__", str(repository / "minitrain" / "storage" / "maker.py"))
        maker.full_version.cache_clear()
        assert maker.full_version() == f"{__version__}+g{git(repository, 'rev-parse', 'HEAD')[:12]}"
        (repository / "venv").mkdir()  # a package that is installed in a folder of the user's project
        monkeypatch.setattr(maker, "__file__", str(repository / "venv" / "minitrain" / "storage" / "maker.py"))
        maker.full_version.cache_clear()
        assert maker.full_version() == __version__
    finally:
        maker.full_version.cache_clear()
