"""Values that Hydra's grammar refuses: strings are taken as they are, other values are reported with quotes."""

import shlex
from pathlib import Path

import pytest
from command_runs import FAST
from omegaconf import OmegaConf

from minitrain.config.composition import Composer
from minitrain.errors import ConfigError

ROWS = "a,b,c\n" + "1,2,x\n3,5,y\n" * 20
FILES = [
    "a(1).csv", "data (1).csv", "(a).csv", "a=b.csv", "a#b.csv", "it's.csv", "it's (1).csv", 'a"b.csv', "a[b].csv",
    "[1].csv", "~x.csv", "a~b.csv", "größe.csv", "データ.csv", "a&b.csv", "a;b.csv", "a{b}.csv", "a!.csv", "a^b.csv",
    "a<b>.csv", "`a`.csv", "range(3)b.csv", "f(1)", "a\\b;.csv", "a$b.csv", "1e3.csv", "-a.csv", "1.5", "true", "1_000",
]  # fmt: skip


@pytest.fixture(scope="module")
def composer():
    return Composer()


def value_of(composer, text, key):
    return OmegaConf.select(composer.compose(composer.read(text)), key)


@pytest.mark.parametrize("name", FILES)
def test_path_is_taken_as_it_is(composer, name):
    assert value_of(composer, ["data=csv", f"data.path={name}"], "data.path") == name
    assert value_of(composer, [f"network.init_file={name}"], "network.init_file") == name
    assert value_of(composer, [f"hydra.run.dir={name}"], "hydra.run.dir") == name


@pytest.mark.parametrize("name", ["a(1).csv", "größe=3.csv", "it's.csv", "~x.csv"])
def test_run_reads_the_file_and_repeats_its_overrides(command, name):
    Path(name).write_text(ROWS)
    directory = f"run of {name}"
    status, _, err = command("data=csv", f"data.path={name}", "batch_size=8", "steps=2", f"hydra.run.dir={directory}")
    assert (status, err) == (0, "")
    overrides = OmegaConf.load(Path(directory, ".hydra", "overrides.yaml"))
    assert OmegaConf.load(Path(directory, ".hydra", "config.yaml")).data.path == name
    assert command(*overrides, "hydra.run.dir=again")[0] == 0
    metrics = [Path(run, "metrics.csv").read_bytes() for run in (directory, "again")]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("data.target", "größe (cm)", "größe (cm)"),
        ("data.target", "1.5", "1.5"),
        ("data.target", "true", "true"),
        ("data.target", "3", 3),  # as it was before: the schema converts it
        ("data.target", "null", None),
        ("data.target", '"null"', "null"),
        ("data.delimiter", ";", ";"),
        ("data.delimiter", "\\t", "\\t"),
        ("data.categories", "[größe,alter]", ["größe", "alter"]),
        ("data.categories", "[it's,1.5,a]", ["it's", "1.5", "a"]),
        ("data.categories", "[größe (a,b),c]", ["größe (a,b)", "c"]),
        ("network.frozen", "[0.*,(a)]", ["0.*", "(a)"]),
        ("data.path", "${oc.env:HERE}/a(1).csv", "there/a(1).csv"),
        ("data.path", "${oc.decode:${oc.env:HERE}}", "there"),
        ("data.path", " a.csv", "a.csv"),
        ("activation", "rélu", "rélu"),
    ],
)
def test_string_is_taken_as_it_is(composer, monkeypatch, key, text, value):
    monkeypatch.setenv("HERE", "there")
    assert value_of(composer, ["data=csv", f"{key}={text}"], key) == value


def test_accepted_overrides_stay_as_they_were_typed(composer):
    overrides = ["data=csv", "lr=1e-3", "data.target=3", "data.path='a b.csv'", "network.widths=[8, 16]", "l2=null"]
    assert composer.read(overrides) == overrides


def test_values_of_a_sweep_are_quoted_one_by_one(command):
    for name in ("a(1).csv", "größe.csv"):
        Path(name).write_text(ROWS)
    status, out, err = command("-m", "--dry-run", "data=csv", "batch_size=8", "data.path=a(1).csv,größe.csv", "steps=5")
    assert (status, err) == (0, "")
    assert '#0 data=csv batch_size=8 data.path="a(1).csv"' in out
    assert 'data.path="größe.csv"' in out


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("data.path=a,b.csv", "data.path='\"a,b.csv\"'"),
        ("data.path=a(1),b.csv", "data.path='\"a(1),b.csv\"'"),
        ("data.delimiter=,", "data.delimiter='\",\"'"),
        ("hydra.run.dir=a,b", "hydra.run.dir='\"a,b\"'"),
        ("lr=0.1;", "lr is a number at least 0"),
        ("network.widths=[8;16]", "network.widths is a list of integers at least 1"),
        ("größe=3", "größe=3: unknown key; valid keys: lr"),
        ("data=größe", "data=größe: expected one of arrays, blobs"),
        ("activation=rélu", "activation=rélu: did you mean relu?"),
        ("data.path='a.csv", "data.path='a.csv: expected key=value"),
    ],
)
def test_other_values_are_reported_with_what_to_type(command, override, advice):
    status, _, err = command("data=csv", override) if not override.startswith("data=") else command(override)
    assert status == 2
    assert err.count("\n") == 1
    assert advice in err.replace('"\'"\'"', "'")
    assert not Path("outputs").exists()


@pytest.mark.parametrize("text", ["data.path=a,b.csv", "data.delimiter=,"])
def test_quoted_form_of_a_message_can_be_pasted(composer, text):
    with pytest.raises(ConfigError) as error:
        composer.compose(composer.read(["data=csv", text]))
    pasted = str(error.value).rpartition(": ")[2]
    key, _, value = text.partition("=")
    assert value_of(composer, ["data=csv", *shlex.split(pasted)], key) == value


def test_sweep_has_a_directory_of_any_name(command):
    status, _, err = command("-m", *FAST, "lr=0.1,0.2", "hydra.sweep.dir=größe (1)=x")
    assert (status, err) == (0, "")
    assert Path("größe (1)=x/report.html").exists()
