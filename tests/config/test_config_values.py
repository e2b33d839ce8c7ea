"""Values of a config: their types, defaults and limits; every error is one line."""

from pathlib import Path

import pytest
from command_runs import FAST
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from minitrain.config.composition import Composer, task_config
from minitrain.config.loading import to_run_config
from minitrain.config.schema import RunConfig, parse_run_config
from minitrain.errors import ConfigError
from minitrain.options import REQUIRED, options
from minitrain.paths import conf_directory
from minitrain.registry import REGISTRIES

GROUPS = ("data", "network", "optimizer", "schedule")
FILES = [pytest.param(group, name, id=f"{group}-{name}") for group in GROUPS for name in REGISTRIES[group]]


def run_values(**changes):
    return {
        "data": {"name": "digits"},
        "network": {"name": "mlp"},
        "optimizer": {"name": "sgd"},
        "schedule": {"name": "constant"},
        "lr": 0.3,
        **changes,
    }


@pytest.mark.parametrize(("group", "name"), FILES)
def test_component_has_a_file_with_its_options_and_defaults(group, name):
    path = conf_directory() / group / f"{name}.yaml"
    written = OmegaConf.to_container(OmegaConf.load(path))
    known = options(REGISTRIES[group][name])
    defaults = {key: option.default for key, option in known.items()}
    assert written == {"name": name, **defaults}
    comments = " ".join(line.rpartition("# ")[2].strip() for line in path.read_text().splitlines())
    assert all(f"{option.range.help}; {option.expected}" in comments for option in known.values())


@pytest.mark.parametrize("group", GROUPS)
def test_file_has_a_component(group):
    assert sorted(p.stem for p in (conf_directory() / group).glob("*.yaml")) == sorted(REGISTRIES[group])


def test_config_yaml_has_the_top_level_keys_and_defaults():
    written = OmegaConf.to_container(OmegaConf.load(conf_directory() / "config.yaml"))
    defaults = {key: option.default for key, option in options(RunConfig).items() if option.default is not REQUIRED}
    assert {key: value for key, value in written.items() if key not in ("defaults", "hydra", "lr")} == defaults
    assert written["lr"] == "${optimizer.default_lr}"


def test_parsed_values_are_typed_and_frozen():
    config = parse_run_config(run_values(steps=1e3, network={"name": "mlp", "widths": [8.0, 4]}, batch_size=None))
    assert (config.steps, type(config.steps)) == (1000, int)
    assert config.network.widths == [8, 4]
    assert config.batch_size is None
    with pytest.raises(AttributeError):
        config.steps = 5


@pytest.mark.parametrize(("value", "taken"), [(2, 2), (2.0, 2), ("auto", "auto")])
def test_option_that_is_a_number_or_a_name(value, taken):
    assert repr(parse_run_config(run_values(blas_threads=value)).blas_threads) == repr(taken)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr": "abc"}, "lr=abc: expected a number at least 0"),
        ({"lr": True}, "lr=True: expected a number"),
        ({"lr": None}, "lr=null: expected a number"),
        ({"lr": float("nan")}, "lr=nan: expected a number"),
        ({"lr": float("inf")}, "lr=inf: expected a number"),
        ({"steps": 0}, "steps=0: expected an integer at least 1"),
        ({"steps": 1.5}, "steps=1.5: expected an integer"),
        ({"steps": True}, "steps=True: expected an integer"),
        ({"batch_size": 0}, "batch_size=0: expected an integer at least 1, or null"),
        ({"activation": "foo"}, f"activation=foo: expected one of {', '.join(sorted(REGISTRIES['activation']))}"),
        ({"activation": "x" * 100}, "activation=" + "x" * 59 + "…: expected"),
        ({"foo": 1}, "foo=1: unknown key; valid keys: lr, activation"),
        ({"network": {"name": "mlp", "widths": 3}}, r"network.widths=3: expected a list of integers at least 1"),
        ({"network": {"name": "mlp", "widths": [4, 0]}}, r"network.widths=\[4, 0\]: expected a list"),
        ({"network": {"name": "mlp", "width": 3}}, "network.width=3: unknown key; did you mean network.widths"),
        ({"network": {"name": "foo"}}, "network.name=foo: expected one of cnn, lab2, linear, mlp, sequential"),
        ({"network": None}, "network=null: expected one of"),
        ({"network": {"name": ["mlp"]}}, r"network.name=\['mlp'\]: expected one of cnn, lab2"),
        ({"seed": 2**64}, "seed=18446744073709551616: too large; expected an integer at least 0"),
        ({"seed": 1e22}, r"seed=1e\+22: too large; expected an integer at least 0"),
        ({"seed": 10**400}, "seed=10*…: too large; expected an integer at least 0"),
        ({"seed": 10**5000}, "seed=a number of thousands of digits: too large; expected an integer"),
        ({"seed": -(10**400)}, "seed=-10*…: expected an integer at least 0"),
        ({"lr": 10**400}, "lr=10*…: too large; expected a number at least 0"),
        ({"batch_size": 10**400}, "batch_size=10*…: too large; expected an integer at least 1, or null"),
        ({"network": {"name": "mlp", "widths": [10**400]}}, r"network.widths=\[10*…: expected a list of integers"),
        ({"data": {"name": "moons", "samples": 1e22}}, "data.samples=1e.22: expected an integer at least 2 and at"),
        ({"data": {"name": "sine", "samples": 10**10}}, "data.samples=10000000000: expected .* and at most 1e.09"),
        ({"data": {"name": "blobs", "features": 1e19}}, r"data.features=1e\+19: expected .* at most 1e.06"),
        ({"data": {"name": "modular_addition", "p": 1e10}}, "data.p=10*.0: expected .* at least 2 and at most 10000"),
        ({"optimizer": {"name": "momentum", "momentum": 1}}, "optimizer.momentum=1: expected a number"),
        ({"data": {"name": "digits", "standardize": 1}}, "data.standardize=1: expected true or false"),
        ({"reduction": "none"}, "reduction=none: expected one of mean, sum"),
        ({"label_smoothing": 1.5}, "label_smoothing=1.5: expected a number at least 0 and at most 1, or null"),
        ({"class_weight": "even"}, "class_weight=even: expected balanced, or a list of numbers above 0, or null"),
        ({"class_weight": [1.0, 0.0]}, r"class_weight=\[1.0, 0.0\]: expected balanced, or a list of numbers above 0"),
        ({"class_weight": 2.0}, "class_weight=2.0: expected balanced, or a list of numbers above 0, or null"),
        ({"huber_delta": 0}, "huber_delta=0: expected a number above 0, or null"),
        ({"loss_scale": -1}, "loss_scale=-1: expected a number above 0, or null"),
        ({"max_grad_norm": 0}, "max_grad_norm=0: expected a number above 0, or null"),
        ({"l2": -1e-4}, "l2=-0.0001: expected a number at least 0, or null"),
        ({"l2_on": "biases"}, "l2_on=biases: expected one of weights, all"),
        ({"warmup": 0}, "warmup=0: expected an integer at least 1, or null"),
        ({"patience": 1.5}, "patience=1.5: expected an integer at least 1, or null"),
        ({"monitor": "loss"}, r"monitor=loss: did you mean val_loss\? expected one of auto, val_accuracy"),
        ({"blas_threads": 0}, "blas_threads=0: expected an integer at least 1, or auto"),
        ({"blas_threads": "all"}, "blas_threads=all: expected an integer at least 1, or auto"),
        ({"blas_threads": 1.5}, "blas_threads=1.5: expected an integer at least 1, or auto"),
        ({"blas_threads": None}, "blas_threads=null: expected an integer at least 1, or auto"),
        ({"dtype": "float16"}, r"dtype=float16: did you mean float64\? expected one of float32, float64"),
    ],
)  # fmt: skip
def test_invalid_value_is_an_error_in_one_line(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        parse_run_config(run_values(**changes))
    assert "\n" not in str(error.value)


def test_largest_integers_and_floats_are_accepted():
    config = parse_run_config(
        run_values(seed=2**64 - 1, lr=10**20, data={"name": "csv", "target": 20261123_000000_000000_000000})
    )
    assert (config.seed, config.lr, config.data.target) == (2**64 - 1, 1e20, "20261123000000000000000000")


def test_every_option_has_a_help_text():
    for component in (RunConfig, *(cls for group in (*GROUPS, "layer") for cls in REGISTRIES[group].values())):
        for range_ in [option.range for option in options(component).values()]:
            assert range_.help


MISTAKES = [
    (["activation=foo"], "activation=foo: expected one of elu, gelu"),
    (["network=foo"], "network=foo: expected one of cnn, lab2, linear, mlp, sequential"),
    (["network=null"], "network=null: expected one of"),
    (["data.name=[moons]"], "data.name=['moons']: expected one of arrays, blobs, breast_cancer"),
    (["seed=" + "9" * 400], "9…: too large; expected an integer at least 0"),
    (["lr=" + "9" * 400], "9…: too large; expected a number at least 0"),
    (["data=sine", "data.samples=1e19"], "data.samples=1e+19: expected an integer at least 2 and at most 1e+09"),
    (["data=foo"], "data=foo: expected one of arrays, blobs, breast_cancer"),
    (["foo=1"], "foo=1: unknown key; valid keys: lr, activation"),
    (["network.width=3"], "network.width=3: unknown key; did you mean network.widths"),
    (["lr=abc"], "lr=abc: expected a number"),
    (["lr=-1"], "lr=-1: expected a number at least 0"),
    (["lr=nan"], "lr=nan"),
    (["steps=0"], "steps=0"),
    (["steps=1.5"], "steps=1.5"),
    (["seed=-1"], "seed=-1: expected an integer at least 0"),
    (["batch_size=1439"], "batch_size=1439: expected at most 1438"),
    (["lr=0.1,0.2"], "lr=0.1,0.2: several values; add -m"),
    (["lr"], "lr: expected key=value"),
    (["=3"], "=3: expected key=value"),
    (["lr=["], "lr=[: expected key=value"),
    (["+foo=1"], "foo=1: unknown key"),
    (["optimizer.name=foo"], "optimizer.name=foo: expected one of adagrad, adam"),
    (["warmup=1000"], "warmup=1000: expected fewer than steps=1000"),
    (
        ["data.validation=0", "monitor=val_loss"],
        "monitor=val_loss: not available with this data; expected one of auto, train_loss",
    ),
    (["network=lab2"], "set data=point"),
    (
        ["loss=foo"],
        "loss=foo: expected one of binary_cross_entropy, cross_entropy, half_mse, hinge, huber, mae, mse, output",
    ),
    (["loss=binary_cross_entropy"], "is for 2 classes, and the data has 10; set loss=cross_entropy"),
    (["loss=mse", "label_smoothing=0.1"], "label_smoothing=0.1: loss=mse has none; set loss=cross_entropy"),
    (["data=point", "batch_size=null"], "loss=cross_entropy: requires a target"),
    (["data.validation=0.99999"], "leaves no training example"),
    (["-m", "lr=0.1,abc"], "lr=abc"),
    (["-m", "activation=relu,foo", "lr=0.1"], "activation=foo"),
    (["-m", "network=mlp,foo"], "network=foo"),
    (["-m", "seed=0,-1"], "seed=-1"),
    (["-m", "network.width=1,2"], "network.width=1: unknown key; did you mean network.widths"),
    (["-m", "batch_size=64,5000"], "batch_size=5000"),
    (["-m", "network=mlp,linear", "network.widths=[4]"], "network.widths=[4]: unknown key"),
    (["-m", "lr=interval(0,1)"], "the grid needs values"),
    (["-m", "experiments=foo"], "experiments=foo: expected one of activations, "),
    (["-m", "seed=range(0)"], "no values to train a run for"),
    (
        ["-m", "optimizer=sgd,adam", "optimizer.momentum=0.9"],
        "optimizer.momentum=0.9: unknown key; valid keys: optimizer",
    ),
    (["-m", "optimizer=sgd,momentum", "optimizer.momentum=0.5"], "(run 0: optimizer=sgd)"),
    (["-m", "optimizer=momentum,sgd", "optimizer.momentum=0.5"], "(run 1: optimizer=sgd)"),
    (["-m", "network=mlp,cnn,linear", "network.init=zeros", "network.widths=[4]"], "(run 1: network=cnn)"),
    (["-m", "data=iris,moons", "batch_size=128"], "batch_size=128: expected at most 120"),
    (["-m", "data=iris,moons", "batch_size=128"], "(run 0: data=iris)"),
    (["-m", "data=moons,iris", "batch_size=128", "seed=0,1"], "(run 2: data=iris seed=0)"),
    (["-m", "seed=0,-1", "lr=0.1"], "seed=-1: expected an integer at least 0 (run 1: seed=-1)"),
    (["-m", "network.widths=[interval(4,64)]", "samples=3"], "interval, range, choice and glob are values of a key"),
    (["-m", "network.widths=[range(4,64)],[8]"], "network.widths=[4],[8]"),
    (["network.widths=[choice(4,8)]"], "network.widths=[4],[8]"),
    (["network=sequential", "network.layers=[{linear: choice(4,8)}]"], "network.layers=[4],[8]"),
    (
        ["~l2"],
        "~l2: a run has every key, and none can be deleted; leave out ~l2 for the default; l2=null switches it off",
    ),
    (["~lr"], "leave out ~lr for the default"),
    (["~network.norm"], "network.norm=null switches it off"),
    (["~network.widths"], "leave out ~network.widths"),
    (["~optimizer"], "leave out ~optimizer"),
    (["~experiments"], "leave out ~experiments"),
    (["~l3"], "~l3: unknown key; valid keys: lr"),
    (["-m", "~l2", "lr=1,2"], "l2=null switches it off"),
    (["schedule.foo=1"], "schedule.foo=1: unknown key; valid keys: none"),
    (["lr=${foo}"], "lr: Interpolation key 'foo' not found"),
    (["network=[mlp,cnn]"], "network=['mlp', 'cnn']: expected one of"),
    (["network.widths=[100000000,100000000]"], "do not fit into memory"),
    (["hydra.run.dir=/proc/none", "steps=5"], "hydra.run.dir=/proc/none: cannot be created"),
    (["network=cnn", "network.kernel_size=99"], "network.kernel_size=99: expected at most 8"),
    (["network=cnn", "network.channels=[8,8,8,8,8]"], "too small to be pooled 5 times"),
    (["loss=output"], "loss=output: is for data without a target"),
    (["--foo"], "unrecognized arguments: --foo"),
    (["resume"], "no directory given"),
    (["resume", "nowhere"], "not a run's directory"),
    (["--cfg", "job", "lr=abc"], "lr=abc"),
    (["--config-dir", "nowhere"], "no such directory"),
    (["blas_threads=auto", "engine=eager"], "blas_threads=auto: requires a compiled step; give a number"),
    (["graph", "lr=abc"], "lr=abc: expected a number"),
    (["graph", "activation=foo"], "activation=foo: expected one of"),
    (["graph", "batch_size=5000"], "batch_size=5000: expected at most"),
    (["graph", "-m", "lr=0.1,0.2"], "shows the step of one run"),
    (["graph", "lr=0.1,0.2"], "lr=0.1,0.2: several values"),
    (["graph", "engine=eager"], "engine=eager: has no compiled step to show"),
    (["graph", "hydra.run.dir=here"], "hydra.run.dir=here: graph starts no run"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_invalid_command_line_is_one_line_with_status_2_and_nothing_is_written(command, arguments, message):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


FLAG_MISTAKES = [
    ["train"],
    ["hydra.run.dir='${nope}'"],
    ["-m", "lr=0.1,0.2", "hydra.sweep.dir='${nope}'"],
    ["-m", "lr=0.1,0.2", "hydra.sweep.subdir='${nope}'"],
    ["-m", "network=interval(0,1)", "samples=2"],
    ["--shell-completion"],
    ["--shell-completion", "install=nosuchshell"],
    ["--resolve"],
    ["-p", "data"],
    ["graph", "--dry-run"],
    ["resume", "--dry-run"],
    ["experiments=activations"],
]


@pytest.mark.parametrize("arguments", FLAG_MISTAKES, ids=" ".join)
def test_invalid_hydra_override_or_flag_is_one_line_with_status_2(command, arguments):
    status, _, err = command(*arguments)
    assert (status, len(err.splitlines())) == (2, 1)
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("override", "text", "value"),
    [
        ("lr=${oc.env:VALUE}", "0.05", 0.05),
        ("lr=${oc.env:VALUE}", "1e-3", 0.001),
        ("lr=${oc.decode:${oc.env:VALUE}}", "0.05", 0.05),
        ("lr=${oc.env:NONE,0.25}", "", 0.25),
        ("seed=${oc.env:VALUE}", "3", 3),
        ("seed=${oc.env:VALUE}", "18446744073709551615", 2**64 - 1),
        ("steps=${oc.env:VALUE}", "1e3", 1000),
        ("batch_size=${oc.env:VALUE}", "null", None),
        ("batch_size=${oc.env:VALUE}", "32", 32),
        ("blas_threads=${oc.env:VALUE}", "2", 2),
        ("blas_threads=${oc.env:VALUE}", "auto", "auto"),
        ("network.widths=[${oc.env:VALUE},8]", "16", [16, 8]),
        ("network.widths=${oc.decode:${oc.env:VALUE}}", "[16,8]", [16, 8]),
        ("network.widths=${oc.env:VALUE}", "[16,8]", [16, 8]),
        ("network.bias=${oc.env:VALUE}", "false", False),
        ("network.norm=${oc.env:VALUE}", "null", None),
        ("network.dropout=${oc.env:VALUE}", "0.5", 0.5),
        ("activation=${oc.env:VALUE}", "tanh", "tanh"),
    ],
)
@pytest.mark.parametrize("place", ["command line", "preset"])
def test_value_of_an_environment_variable(tmp_path, monkeypatch, override, text, value, place):
    monkeypatch.setenv("VALUE", text)
    key = override.partition("=")[0]
    (tmp_path / "experiments").mkdir()
    preset = OmegaConf.create()
    OmegaConf.update(preset, key, OverridesParser.create().parse_override(Composer().read([override])[0]).value())
    (tmp_path / "experiments" / "mine.yaml").write_text(f"# @package _global_\n{OmegaConf.to_yaml(preset)}")
    composer = Composer(str(tmp_path))
    overrides = composer.read([override]) if place == "command line" else ["experiments=mine"]
    config = to_run_config(task_config(composer.compose(overrides)))
    for name in key.split("."):
        config = getattr(config, name)
    assert (config, type(config)) == (value, type(value))


@pytest.mark.parametrize(
    ("override", "text", "message"),
    [
        ("lr=${oc.env:VALUE}", "fast", "lr=fast: expected a number at least 0"),
        ("lr=${oc.env:VALUE}", "-1", "lr=-1: expected a number at least 0"),
        ("lr=${oc.env:VALUE}", "nan", "lr=nan: expected a number"),
        ("lr=${oc.env:VALUE}", "null", "lr=null: expected a number"),
        ("seed=${oc.env:VALUE}", "1.5", "seed=1.5: expected an integer"),
        (
            "network.widths='[16,8]'",
            "",
            "network.widths=[16,8]: a string, which ${oc.decode:...} or leaving out its quotes",
        ),
        ("lr=${oc.env:NONE}", "", "lr: Environment variable 'NONE' not found"),
    ],
)
def test_environment_variable_of_another_type_is_an_error(command, monkeypatch, override, text, message):
    monkeypatch.setenv("VALUE", text)
    status, _, err = command(override)
    assert status == 2
    assert message in err
    assert err.count("\n") == 1


def test_options_of_a_swept_group_that_all_choices_have(command):
    status, out, err = command("-m", "--dry-run", "optimizer=momentum,nesterov", "optimizer.momentum=0.5", "steps=5")
    assert (status, err) == (0, "")
    assert "#1 optimizer=nesterov optimizer.momentum=0.5" in out


@pytest.mark.parametrize("sweep", [False, True], ids=["run", "sweep"])
def test_run_keeps_the_environment_that_it_started_with(command, monkeypatch, sweep):
    run, flags = ("run/0", ["-m", "hydra.sweep.dir=run"]) if sweep else ("run", ["hydra.run.dir=run"])
    monkeypatch.setenv("MY_LR", "0.05")
    monkeypatch.setenv("MY_NAME", "3")
    values = ["lr=${oc.env:MY_LR}", "network.widths=[${oc.env:MY_NAME},4]", "l2=${oc.env:NONE,null}"]
    preset = Path("presets/data/mine.yaml")
    preset.parent.mkdir(parents=True)
    preset.write_text("defaults: [moons]\nsamples: ${oc.decode:${oc.env:MY_SAMPLES,100}}\nnoise: ${oc.env:MY_LR}\n")
    assert command("--config-dir", "presets", *flags, *FAST, "data=mine", *values)[0] == 0
    config = OmegaConf.load(Path(run, ".hydra", "config.yaml"))
    assert (config.lr, config.network.widths, config.l2, config.data.noise) == (0.05, [3, 4], None, 0.05)
    overrides = OmegaConf.to_container(OmegaConf.load(Path(run, ".hydra", "overrides.yaml")))
    assert sum("oc.env" in text for text in overrides) == 3
    monkeypatch.delenv("MY_LR")
    assert command("resume", run, "steps=50")[0] == 0
    direct = ["data=moons", "data.noise=0.05", "lr=0.05", "network.widths=[3,4]", "steps=50", "hydra.run.dir=direct"]
    assert command(*FAST, *direct)[0] == 0
    assert Path(run, "metrics.csv").read_bytes() == Path("direct/metrics.csv").read_bytes()


@pytest.mark.parametrize("arguments", [["data=csv", "data.path=caf\udce9.csv"], ["network.init_file=\udce9.npz"]])
def test_name_that_is_not_unicode_is_rejected_before_anything_is_written(command, arguments):
    # A name of a file may have any bytes, which Python represents by surrogates, and YAML cannot store.
    for mode in ([], ["-m"], ["--dry-run"]):
        status, out, err = command(*mode, *arguments)
        key, value = arguments[-1].encode("unicode_escape").decode().split("=")
        assert (status, out) == (2, "")
        assert err.startswith(f"minitrain: {key}={value}: has bytes that are not Unicode and cannot be stored; rename")
    assert list(Path().iterdir()) == []
