"""`minitrain completion`: the candidates for partial lines, and the scripts in real shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minitrain.commands.candidates import complete
from minitrain.commands.command_line import COMMANDS, SHELLS
from minitrain.config.schema import RunConfig
from minitrain.options import options
from minitrain.paths import PACKAGE
from minitrain.registry import REGISTRIES

RUNS = ("outputs/2026-11-23/10-00-00-000001-lr=0.1", "outputs/2026-11-24/09-00-00-000001-network.widths=[8]")
SWEEP = "outputs/sweeps/2026-11-24/11-00-00-000001"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A directory with two runs, a sweep of one run, and a few files."""
    monkeypatch.chdir(tmp_path)
    for run in (*RUNS, f"{SWEEP}/0"):
        Path(run, ".hydra").mkdir(parents=True)
    Path(SWEEP, "multirun.yaml").touch()
    Path("configs/network").mkdir(parents=True)
    Path("configs/network/tiny.yaml").write_text("name: mlp\nwidths: [3]\n")
    for name in ("new.csv", "my data.csv", ".hidden"):
        Path(name).touch()
    return tmp_path


def candidates(line):
    """The candidates for a line; words are separated by one space."""
    return [candidate.text for candidate in complete(line.split(" "))]


LINES = {
    "re": ["resume", "reduction="],
    "resume ": [SWEEP, RUNS[1], RUNS[0], "configs/"],
    "resume outputs/2": [RUNS[1], RUNS[0], "outputs/2026-11-23/", "outputs/2026-11-24/"],
    f"resume {SWEEP}/": [f"{SWEEP}/0"],
    f"resume {RUNS[0]} ": ["steps=", "patience="],
    "resume --": ["--help"],
    "compare --b": ["--best"],
    "compare --best ": ["last", "min", "max"],
    "compare a --csv n": ["new.csv"],
    f"compare {RUNS[0]} outputs/s": [SWEEP, "outputs/sweeps/"],
    "predict new": [],
    f"predict {RUNS[0]} ": ["configs/", "my data.csv", "new.csv", "outputs/"],
    f"predict --checkpoint last {RUNS[0]} n": ["new.csv"],
    "predict --checkpoint ": ["best", "last"],
    "evaluate --c": ["--checkpoint"],
    f"evaluate --json {RUNS[0]} n": ["new.csv"],
    f"predict {RUNS[0]} new.csv ": [],
    "export conf": ["configs/"],
    "help com": ["compare", "completion"],
    "help network=c": ["network=cnn"],
    "completion ": list(SHELLS),
    "graph network=c": ["network=cnn"],
    "graph res": [],
    "activation=si": ["activation=sigmoid", "activation=silu"],
    "loss=": [f"loss={name}" for name in sorted(REGISTRIES["loss"])],
    "dtype=": ["dtype=float32", "dtype=float64"],
    "engine=n": ["engine=numpy"],
    "optimizer=ad": ["optimizer=adagrad", "optimizer=adam", "optimizer=adamw"],
    "experiments=gr": ["experiments=grokking"],
    "-m lr=0.1 repe": ["repeats="],
    "repe": [],
    "-m activation=relu,sil": ["activation=relu,silu"],
    "-m lr=1,2 network.widths=[8],[9] zip=[lr,netw": ["zip=[lr,network.widths"],
    "plots=[con": ["plots=[confusion_matrix"],
    "plots=[fitted_curve,con": ["plots=[fitted_curve,confusion_matrix"],
    "network.w": ["network.widths="],
    "network=cnn network.k": ["network.kernel_size="],
    "network=cnn network.w": [],
    "network.bias=": ["network.bias=true", "network.bias=false"],
    "network.norm=": ["network.norm=batch", "network.norm=layer", "network.norm=null"],
    "schedule.": [],
    "data=csv data.path=n": ["data.path=new.csv", "data.path=null"],
    "patience=": ["patience=null"],
    "--cfg ": ["job", "hydra", "all"],
    "--config-dir ": ["configs/", "outputs/"],
    "--config-dir configs network=t": ["network=tiny"],
    "--dr": ["--dry-run"],
    "unknown.": [],
    "unknown=": [],
    "lr=0.1 res": [],
}


@pytest.mark.parametrize("line", LINES)
def test_candidates_for_a_line(workspace, line):
    assert candidates(line) == LINES[line]


def test_candidates_for_an_empty_line(workspace):
    groups = ["data=", "network=", "optimizer=", "schedule=", "experiments="]
    assert candidates("") == [*COMMANDS, *groups, *(f"{key}=" for key in options(RunConfig))]


def test_candidates_have_descriptions(workspace):
    descriptions = {candidate.text: candidate.description for candidate in complete([""])}
    assert all(descriptions.values())
    assert [candidate.description for candidate in complete(["resume", "outputs/2026-11-23/1"])] == ["run"]


def test_components_of_extensions_are_read_without_importing_them(workspace):
    source = 'import nothing\nregister("activation", "cube")(f)\n@minitrain.register("data", "mine")\nclass Mine: ...\n'
    Path("mine.py").write_text(source)
    assert candidates("extensions=[mine] activation=cu") == ["activation=cube"]
    assert candidates("activation=cu") == []
    Path("pyproject.toml").write_text('[tool.minitrain]\nextensions = ["mine"]\n')
    assert candidates("activation=cu") == ["activation=cube"]
    assert candidates("data=mi") == ["data=mine"]
    Path("mine.py").write_text("def (")
    assert candidates("data=mi") == []
    Path("pyproject.toml").write_text("[tool.minitrain]\nextensions = [")
    assert candidates("activation=cu") == []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell_is_printed(command, shell):
    status, out, err = command("completion", shell)
    assert (status, err) == (0, "")
    assert f"completion --complete {shell}" in out


# In real shells


@pytest.fixture
def script_path(workspace):
    """The path of a script `minitrain`, which runs this checkout."""
    script = workspace / "bin" / "minitrain"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        "from minitrain.cli import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    return script


def run_shell(shell, code, *arguments):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    environment = {**os.environ, "PATH": f"{Path('bin').absolute()}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        [shell, *arguments, "-c", code], capture_output=True, text=True, env=environment, check=False, timeout=120
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


BASH_LINES = [
    (["minitrain", "res"], ["resume "]),
    (["minitrain", "activation", "=", "sil"], ["silu "]),
    (["minitrain", "-m", "activation", "=", "relu,sil"], ["relu,silu "]),
    (["minitrain", "dtype", "="], ["float32 ", "float64 "]),
    (["bin/minitrain", "resume", "outputs/2026-11-24/"], [f"{RUNS[1]} ".replace("[", r"\[").replace("]", r"\]")]),
    (["minitrain", "predict", "RUN", "my"], [r"my\ data.csv "]),
    (["minitrain", "predict", "RUN", r"my\ d"], [r"my\ data.csv "]),
    (["minitrain", "opt"], ["optimizer=", "optimizer."]),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "replies"), BASH_LINES, ids=[" ".join(words) for words, _ in BASH_LINES])
def test_bash_completes(script_path, words, replies):
    quoted = " ".join(f"'{word}'" for word in words)
    code = f"""
        eval "$(minitrain completion bash)"
        COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
        _minitrain_completion {words[0]}
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p minitrain
    """
    assert run_shell("bash", code).splitlines() == [
        *replies,
        "complete -o nospace -F _minitrain_completion minitrain",
    ]


def test_zsh_completes(script_path):
    code = """
        zmodload zsh/zpty
        zpty shell 'zsh -f -i'
        zpty -w shell 'PS1=; autoload -Uz compinit; compinit -u -d ./dump; eval "$(minitrain completion zsh)"'
        zpty -w shell 'show() { print -r -- "<$BUFFER>" }; zle -N show; bindkey "^X" show; echo rea""dy'
        zpty -m -r shell line '*ready*'
        zpty -w -n shell $'minitrain activation=sil\\t\\C-x'
        zpty -m -r shell line '*<minitrain activation=silu >*'
        zpty -d shell
        print -r -- found
    """
    assert run_shell("zsh", code, "-f") == "found\n"


def test_fish_completes(script_path):
    code = "minitrain completion fish | source; complete -C 'minitrain activation=sil'; complete -C 'minitrain resum'"
    out = run_shell("fish", code, "--no-config")
    assert out.splitlines() == ["activation=silu", "resume\t" + COMMANDS["resume"].summary]
