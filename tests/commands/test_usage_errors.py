"""Errors on the command line: unknown commands, options and words; exit statuses; commands as they were invoked."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_runs import FAST

from minitrain import cli
from minitrain.commands import unknown_words
from minitrain.commands.command_line import COMMANDS
from minitrain.errors import ConfigError, MinitrainError, RecordError, TracingError
from minitrain.paths import PACKAGE, invocation

UNKNOWN_WORDS = [
    ("train", "train: training needs no command: minitrain"),
    ("train lr=0.1 steps=5", "train: training needs no command: minitrain lr=0.1 steps=5"),
    ("run", "run: training needs no command: minitrain"),
    ("fit 'data.path=my data.csv'", "fit: training needs no command: minitrain 'data.path=my data.csv'"),
    ("sweep", "sweep: a sweep has no command; -m starts it: minitrain -m lr=0.1,0.3"),
    ("sweep lr=1,2", "sweep: a sweep has no command; -m starts it: minitrain -m lr=1,2"),
    ("-m sweep lr=1,2", "-m starts it: minitrain -m lr=1,2"),
    ("resmue X", "resmue: unknown command; did you mean resume? commands: resume, compare, predict"),
    ("Resume X", "did you mean resume?"),
    ("continue X", "did you mean resume?"),
    ("plot", "plot: no such command; every run draws loss.png, and plots=[...]"),
    ("test", "test: no such command; a run evaluates on its validation data"),
    ("eval RUN", "minitrain evaluate RUN scores it on test examples"),
    ("config", "minitrain --cfg job KEY=VALUE ... prints the config"),
    ("foo", "foo: unknown command; commands: resume, compare"),
    ("graph foo", "graph: foo: unknown command"),
    ("help foo", "help: foo: unknown command; commands: resume, compare"),
    ("help optimzer=adam foo", "foo: unknown command"),
    ("help network=foo", "network=foo: expected one of cnn, lab2"),
    ("lr=0.1 resume DIR", "resume: a command comes first: minitrain resume DIR lr=0.1"),
    ("lr 0.1", "lr: expected key=value, without spaces: lr=0.1"),
    ("lr = 0.1", "lr: expected key=value, without spaces: lr=0.1"),
    ("lr =0.1", "lr: expected key=value, without spaces: lr=0.1"),
    ("'lr 0.1'", "lr 0.1: expected key=value, without spaces: lr=0.1"),
    ("network.widths [3]", "network.widths: expected key=value, without spaces: network.widths=[3]"),
    ("optimzer adam", "optimzer: expected key=value; did you mean optimizer=...?"),
    ("epochs 5", "epochs: no such key; set steps"),
    ("adam", "adam: expected key=value; did you mean optimizer=adam?"),
    ("lab2", "lab2: expected key=value; did you mean network=lab2 or -m experiments=lab2?"),
    ("mine.csv", "mine.csv: expected key=value; data=csv data.path=mine.csv trains on a file"),
    ("mine.yaml", "a config file is a choice of a group in a directory that --config-dir names"),
    ("--lr 0.1", "unrecognized arguments: --lr; a key has no dashes: lr=VALUE"),
    ("--batch-size=5", "unrecognized arguments: --batch-size=5; a key has no dashes: batch_size=5"),
    ("--epochs 5", "unrecognized arguments: --epochs; set steps"),
    ("--resume X", "unrecognized arguments: --resume; a command has no dashes: minitrain resume"),
    ("--dryrun", "unrecognized arguments: --dryrun; did you mean --dry-run?; minitrain --help shows the options"),
    ("compare --bset min X", "compare: unrecognized arguments: --bset; did you mean --best?; minitrain compare --help"),
    ("predict RUN FILE lr=3", "predict: unrecognized arguments: lr=3; minitrain predict --help shows the options"),
    ("evaluate RUN a b", "evaluate: unrecognized arguments: b; minitrain evaluate --help shows the options"),
    ("evaluate", "evaluate: the following arguments are required: RUN; minitrain evaluate --help shows the options"),
    ("predict", "predict: the following arguments are required: RUN, FILE; minitrain predict --help shows the options"),
    ("completion", "completion: the following arguments are required: SHELL"),
    ("completion tcsh", "completion: argument SHELL: invalid choice: 'tcsh'"),
    ("--cfg", "argument --cfg/-c: expected one argument; minitrain --help shows the options"),
    ("--package lr", "--package, --resolve: belong to --cfg job"),
    ("--config-name x", "--config-name, --config-path: not supported; --config-dir adds a directory"),
    ("--experimental-rerun x", "resume a run by minitrain resume DIR"),
    ("--shell-completion install=bash", 'replaced by a command: eval "$(minitrain completion bash)"'),
]


@pytest.mark.parametrize(("line", "message"), UNKNOWN_WORDS, ids=[line for line, _ in UNKNOWN_WORDS])
def test_an_unknown_word_is_one_line_that_says_what_to_type(command, line, message):
    status, out, err = command(*shlex.split(line))
    assert (status, out) == (2, "")
    assert err.startswith("minitrain: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_a_word_with_an_explanation_is_no_command():
    explained = {*unknown_words.EXPLANATIONS, *unknown_words.SAME_AS, *unknown_words.TRAIN_WORDS}
    assert not explained & COMMANDS.keys()
    assert set(unknown_words.SAME_AS.values()) <= COMMANDS.keys()


def test_the_directory_of_a_run_or_a_sweep_alone_names_the_commands(command):
    Path("run/.hydra").mkdir(parents=True)
    Path("swept").mkdir()
    Path("swept/multirun.yaml").touch()
    assert "minitrain: run: a run's directory; a command comes first: minitrain resume" in command("run")[2]
    assert "minitrain resume DIR or minitrain compare DIR" in command("swept")[2]


class UnusualError(MinitrainError):
    exit_status = 3


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ConfigError("lr=x"), 2, "minitrain: lr=x\n"),
        (RecordError("damaged"), 2, "minitrain: damaged\n"),
        (TracingError("a branch"), 1, "minitrain: a branch\n"),
        (UnusualError("unusual"), 3, "minitrain: unusual\n"),
        (MemoryError("8 GB"), 2, "minitrain: the network or the data do not fit into memory: 8 GB\n"),
        (OSError("disk full"), 1, "minitrain: disk full\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_status_of_an_exception(monkeypatch, capsys, error, status, message):
    def fail(arguments):
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)
    assert cli.main([]) == status
    assert capsys.readouterr() == ("", message)


def test_a_bug_is_not_hidden(monkeypatch):
    monkeypatch.setattr(cli, "_dispatch", lambda arguments: [][0])
    with pytest.raises(IndexError):
        cli.main([])


@pytest.mark.parametrize(
    ("argv0", "on_path", "expected"),
    [
        (str(PACKAGE / "__main__.py"), None, "./python -m minitrain"),
        (".venv/bin/minitrain", None, ".venv/bin/minitrain"),
        ("/opt/my env/bin/minitrain", "/usr/bin/minitrain", "'/opt/my env/bin/minitrain'"),
        ("/usr/bin/minitrain", "/usr/bin/minitrain", "minitrain"),
        ("/usr/lib/pytest/__main__.py", None, "minitrain"),
    ],
)
def test_invocation_is_what_the_user_typed(monkeypatch, argv0, on_path, expected):
    monkeypatch.setattr(sys, "argv", [argv0])
    monkeypatch.setattr(sys, "orig_argv", ["./python", "-m", "minitrain"])
    monkeypatch.setattr(shutil, "which", lambda name: on_path)
    assert invocation() == expected


def test_a_script_started_by_its_path_is_printed_so(tmp_path):
    script = tmp_path / "bin" / "minitrain"
    script.parent.mkdir()
    code = "import sys\nfrom minitrain.cli import main\nsys.exit(main())\n"
    script.write_text(f"#!{sys.executable}\n{code}")
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])}
    for arguments, expected in (
        (["train", *FAST], "training needs no command: bin/minitrain data=moons"),
        (["eval"], "bin/minitrain evaluate RUN scores"),
        (["predict"], "bin/minitrain predict --help shows the options"),
    ):
        result = subprocess.run(
            ["bin/minitrain", *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 2
        assert expected in result.stderr
