"""Malformed or malicious configs are rejected in one line: none of their code runs, nothing is written."""

import sys
import tracemalloc
from pathlib import Path

import pytest
from command_runs import FAST
from hydra.experimental.callback import Callback

MEGABYTE = "x" * 2**20
DEEP = "[" * 400 + "]" * 400


@pytest.mark.parametrize(
    "arguments",
    [
        ["+_target_=os.system"],
        ["+network._target_=os.system"],
        ["network={_target_:os.system,command:touch_here}"],
        ["network._target_=builtins.exec"],
        ["data=../../../etc/passwd"],
        ["network=../optimizer/adam"],
        ["+../../x=1"],
        ["experiments=../../../../tmp/evil"],
        ["optimizer=/etc/passwd"],
        ["data=csv", "data.path=../../../../etc/shadow", "data.target=x"],
        ["data=npz", "data.path=/dev/zero"],
        ["network.init_file=/dev/zero"],
        ["network.init_file=/etc/passwd"],
        ["lr=nan"],
        ["lr=inf"],
        ["lr=-inf"],
        ["lr=1e999"],
        ["lr=[0.1,0.2]"],
        ["lr={a:1}"],
        ["lr=true"],
        ["lr=null"],
        ["seed=-1"],
        ["steps=1e300"],
        ["steps=0"],
        ["batch_size=1e18"],
        ["network.widths=[1000000000,1000000000]"],
        ["network.widths=[[[1]]]"],
        [f"network.widths={DEEP}"],
        [f"activation={MEGABYTE}"],
        [f"{MEGABYTE}=1"],
        ["activation=rélu☃"],
        ["activation='\u202eulER'"],
        ["activation=__import__('os')"],
        ["activation=${oc.env:HOME}"],
        ["lr=${lr}"],
        ["lr=${a.b.c}"],
        ["extensions=[os;system]"],
        ["extensions=[../evil]"],
        ["loss=output;rm"],
        ["network=sequential", "network.layers=[{linear:64,evil:1}]"],
        ["network=sequential", "network.layers=[{_target_:os.system}]"],
        ["monitor=__class__"],
        ["dtype=object"],
        ["engine=../../x"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["run", "sweep"])
def test_malicious_config_is_rejected_and_nothing_is_written(command, tmp_path, sweep, arguments):
    status, _, err = command(*sweep, *arguments)
    assert status == 2, (status, err)
    assert len(err.splitlines()) == 1
    assert len(err) < 2000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("override", ["network.widths=[1000000000,1000000000]", "network.init_file=/dev/zero"])
def test_config_that_exceeds_the_memory_is_rejected_before_it_is_allocated(command, override):
    tracemalloc.start()
    status, _, _ = command(override)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert status == 2
    assert peak < 2**28


COMMAND = "command: touch executed"
HYDRA_OVERRIDES = [
    f"+hydra.callbacks.x={{_target_: os.system, {COMMAND}}}",
    "+hydra.callbacks.x={_target_: mine.Callback}",
    "+hydra.callbacks.x={_target_: [os.system]}",
    "+hydra.callbacks.x=os.system",
    "hydra.callbacks=os.system",
    f"hydra.launcher={{_target_: os.system, {COMMAND}}}",
    "hydra.launcher._target_=os.system",
    "hydra.launcher._target_=mine.GroupedLauncher",
    "hydra.launcher=null",
    f"+hydra.launcher.x={{_target_: os.system, {COMMAND}}}",
    f"+hydra.launcher.x=[{{y: {{_target_: os.system, {COMMAND}}}}}]",
    "hydra.sweeper._target_=os.system",
    "hydra.sweeper._target_=mine.BasicSweeper",
    "hydra.sweeper=null",
    f"+hydra.sweeper.sampler={{_target_: os.system, {COMMAND}}}",
    f"hydra.job_logging={{version: 1, root: {{handlers: [x]}}, handlers: {{x: {{'()': os.system, {COMMAND}}}}}}}",
    "hydra.hydra_logging.root={}",
    "hydra/job_logging=default",
    "hydra.searchpath=[pkg://mine]",
    "hydra.searchpath=[/etc]",
    "hydra.output_subdir=../outside",
    "hydra.output_subdir=null",
    "+hydra.job.env_set.PATH=here",
    "hydra.job.env_set={LD_PRELOAD: mine.so}",
]


@pytest.fixture
def importable(tmp_path, monkeypatch):
    """A module `mine` that leaves a file when it is imported."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "mine.py").write_text("open('executed', 'w').close()")
    monkeypatch.syspath_prepend(str(folder))
    yield
    sys.modules.pop("mine", None)


def assert_refused(outcome, *messages):
    status, _, err = outcome
    assert status == 2, err
    assert err.startswith("minitrain: ")
    assert len(err.splitlines()) == 1
    assert all(message in err for message in messages)
    assert not Path("executed").exists()
    assert not Path("outputs").exists()


@pytest.mark.parametrize("override", HYDRA_OVERRIDES)
def test_hydra_section_on_the_command_line_executes_nothing(command, importable, override):
    assert_refused(command(override))
    assert_refused(command("-m", "lr=0.1,0.2", override))


@pytest.mark.parametrize("flags", [["--cfg", "job"], ["--info"], ["--hydra-help"], ["graph"]], ids=" ".join)
@pytest.mark.parametrize(
    "override", [HYDRA_OVERRIDES[0], "hydra.hydra_logging.root={}", "hydra.searchpath=[pkg://mine]"]
)
def test_hydra_section_is_checked_by_everything_that_composes_it(command, importable, flags, override):
    assert_refused(command(*flags, override))


HYDRA_PRESETS = [
    f"callbacks: {{x: {{_target_: os.system, {COMMAND}}}}}",
    "callbacks: ${evil}",
    "callbacks: {x: '${evil.x}'}",
    "callbacks: {x: {_target_: '${evil.x._target_}'}}",
    "callbacks: {x: {_target_: mine.Callback}}",
    "callbacks: [os.system]",
    "launcher: ${evil.x}",
    "launcher: {x: '${evil.x}'}",
    "sweeper: {_target_: os.system}",
    "sweeper: {_target_: mine.BasicSweeper, params: {lr: '1,2'}}",
    "sweeper: {x: '${evil}'}",
    "sweeper: {params: {lr: '1,2', +hydra.callbacks.x: '{_target_: os.system}'}}",
    "sweeper: {params: {lr: '1,2', hydra.job_logging.root: '{}'}}",
    "job_logging: {root: {}}",
    "hydra_logging: ${evil.x}",
    "searchpath: ['pkg://mine']",
    "job: {env_set: {PATH: here}}",
    "output_subdir: ../outside",
    "overrides: {hydra: [hydra.run.dir=/tmp]}",
    "sweep: {subdir: '../../outside/${hydra.job.num}'}",
    "sweep: {subdir: '/outside/${hydra.job.num}'}",
]


@pytest.mark.parametrize("section", HYDRA_PRESETS)
def test_hydra_section_of_a_preset_executes_nothing(command, importable, section):
    Path("presets/experiments").mkdir(parents=True)
    evil = f"evil: {{x: {{_target_: os.system, {COMMAND}}}}}\n" if "${evil" in section else ""
    Path("presets/experiments/evil.yaml").write_text(f"# @package _global_\n{evil}hydra:\n  {section}\n")
    assert_refused(command("--config-dir", "presets", "experiments=evil", "-m", "seed=0,1"))


@pytest.mark.parametrize("group", ["launcher", "sweeper", "callbacks", "job_logging"])
def test_preset_of_a_group_of_hydra_executes_nothing(command, group):
    Path("presets/hydra", group).mkdir(parents=True)
    Path("presets/hydra", group, "evil.yaml").write_text(f"_target_: os.system\n{COMMAND}\nroot: {{}}\n")
    assert_refused(command("--config-dir", "presets", f"hydra/{group}=evil", "-m", "lr=0.1,0.2"))


notes = []


class Noted(Callback):
    def on_run_start(self, config, **arguments):
        notes.append(config.activation)


def test_callback_of_an_installed_plugin_is_called(command):
    notes.clear()
    status, _, err = command(*FAST, "activation=tanh", f"+hydra.callbacks.x={{_target_: {__name__}.Noted}}")
    assert (status, err, notes) == (0, "", ["tanh"])


@pytest.mark.parametrize("key", ["hydra.launcher._target_", "hydra.job.name"])
def test_key_of_hydra_has_one_value_in_a_sweep(command, key):
    assert_refused(command("-m", f"{key}=a,b"), "all runs of a sweep share it; give one value")
