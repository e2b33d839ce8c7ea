"""The bytes of the files in a run's .hydra folder are those that Hydra and OmegaConf write."""

import random
from pathlib import Path

import pytest
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf

from minitrain.config import hydra_compat
from minitrain.config.composition import Composer, task_config
from minitrain.config.hydra_compat import to_yaml
from minitrain.config.hydra_files import HydraSection
from minitrain.paths import STUDIES, conf_directory, group_names

TEXTS = [
    "", " ", "true", "No", "on", "null", "~", "1", "1e3", "1e-8", "0x1f", "1_000", ".5", "-.inf", "nan", "1:30",
    "2026-11-25", "2026-11-25 07:00:00", "=", "<<", "- a", "a: b", "a #b", "#a", "'quoted'", '"double"', "[a, b]",
    "{a: b}", "*anchor", "&anchor", "!tag", "%percent", "@at", "`tick", "a\\b", "tab\there", "two\nlines", "end ",
    "é", "☃", "\u202e", "😀", "\x07", "\ufeff", "\x85", "a 200 characters long text " * 8, "x" * 300, "${lr}",
]  # fmt: skip


def random_value(rng, depth=0):
    kind = rng.random()
    if kind < 0.5:
        return "".join(rng.choice(TEXTS) for _ in range(rng.choice([1, 1, 2, 4])))
    if kind < 0.7 or depth == 3:
        return rng.choice([None, True, False, 0, -5, 10**30, 1e-8, 1e300, 0.1, float("inf"), float("nan")])
    if kind < 0.85:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    keys = [rng.choice(["a", "b", "é", "", "true", "k" * 130, "a b"]) for _ in range(rng.randrange(4))]
    return {key: random_value(rng, depth + 1) for key in keys}


def test_yaml_of_random_values_is_that_of_omegaconf():
    rng = random.Random(0)
    for _ in range(500):
        values = {"a": random_value(rng), "b": random_value(rng)}
        escaped = OmegaConf.create(values, flags={"allow_objects": True})
        assert to_yaml(values) == OmegaConf.to_yaml(escaped)


@pytest.mark.parametrize("text", TEXTS)
def test_yaml_of_a_string_is_that_of_omegaconf(text):
    assert to_yaml([text]) == OmegaConf.to_yaml(OmegaConf.create([text]))


def test_yaml_without_libyaml_is_the_same(monkeypatch):
    values = {"lr": 0.1, "texts": TEXTS}
    fast = to_yaml(values)
    monkeypatch.delattr(yaml, "CDumper", raising=False)
    hydra_compat._fast_dumper.cache_clear()
    try:
        assert to_yaml(values) == fast
    finally:
        hydra_compat._fast_dumper.cache_clear()


CHOICES = [
    f"{group}={name}" for group in ("data", "network", "optimizer", "schedule") for name in sorted(group_names(group))
]
SETTINGS = [
    ["lr=1e-8", "seed=7"],
    pytest.param(["steps=5", "network=mlp", "network.widths=[8]"], marks=pytest.mark.slow),
    pytest.param(["batch_size=null", "l2=1e-4"], marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def composer():
    return Composer()


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("choice", CHOICES)
def test_files_of_a_composed_config_are_those_of_omegaconf(composer, choice, settings):
    config = composer.compose([choice, *settings])
    values = OmegaConf.to_container(config, enum_to_str=True)
    assert to_yaml(values) == OmegaConf.to_yaml(config)


def test_files_of_a_sweep_are_those_that_hydra_composes(composer):
    """Jobs with the same groups share a composed config; each file is compared with a config composed for the job."""
    overrides = ["hydra.sweep.dir=out", "hydra.job.config.override_dirname.exclude_keys=[seed]"]
    master = composer.compose(overrides, RunMode.MULTIRUN)
    jobs = [
        [f"lr={lr}", f"optimizer={optimizer}", f"seed={seed}", "network.widths=[8,4]"]
        for lr in (0.1, 1e-5)
        for optimizer in ("sgd", "adam")
        for seed in (0, 1)
    ]
    specs = composer.job_specs(jobs, master)
    sections = {id(spec.template): HydraSection(spec.template, master) for spec in specs}
    assert len(sections) == 2
    for number, (job, spec) in enumerate(zip(jobs, specs, strict=True)):
        directory, text = sections[id(spec.template)].for_job(spec, number)
        expected = composer.hydra.config_loader.load_sweep_config(master, job)
        assert directory == Path("out", str(number))
        assert to_yaml(OmegaConf.to_container(spec.task)) == OmegaConf.to_yaml(task_config(expected))
        OmegaConf.set_readonly(expected, False)
        OmegaConf.set_struct(expected, False)
        expected.hydra.sweep.dir = "out"
        if OmegaConf.is_interpolation(expected.hydra.job, "override_dirname"):  # Hydra 1.4 resolves it in the run
            names = sorted(override for override in job if not override.startswith("seed="))
            expected.hydra.job.override_dirname = ",".join(names)
        expected.hydra.job.id, expected.hydra.job.num = str(number), number
        expected.hydra.runtime.output_dir = str(Path("out", str(number)).absolute())
        assert text == OmegaConf.to_yaml(OmegaConf.masked_copy(expected, ["hydra"]))


# The group `experiments`


def test_studies_are_the_only_group_beside_conf(composer):
    groups = composer.hydra.config_loader.get_group_options("", results_filter=None)
    shipped = {path.stem for path in conf_directory().iterdir()} | {STUDIES}
    assert shipped <= set(groups)
    root = {path.name for path in conf_directory().parent.iterdir() if path.is_dir()}
    assert not (root - shipped) & set(groups)
    assert not composer.hydra.config_loader.get_group_options(f"{STUDIES}/speed")


def test_studies_are_found_from_any_directory(command):
    status, out, _ = command("--cfg", "job", "experiments=mazur")
    assert status == 0
    assert "path: experiments/mazur.npz" in out


def test_user_preset_of_a_new_name_joins_the_studies(command, tmp_path):
    preset = tmp_path / "presets" / STUDIES / "mine.yaml"
    preset.parent.mkdir(parents=True)
    preset.write_text("# @package _global_\nsteps: 7\n")
    assert "steps: 7" in command("--config-dir", "presets", "--cfg", "job", "experiments=mine")[1]
    assert "activation: sigmoid" in command("--config-dir", "presets", "--cfg", "job", "experiments=mazur")[1]
