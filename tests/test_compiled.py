"""The compiled step gives the bits of the eager one, for one run and for each of a stack, whatever the components."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from minitrain import Parameter, Tensor, nn, no_grad, option, register
from minitrain import functional as F
from minitrain.components.networks import Lab2Config, LinearConfig, MLPConfig
from minitrain.components.sequential import CNNConfig, SequentialConfig
from minitrain.config.schema import RunConfig
from minitrain.data import NPY, Blobs, Moons, Point, Sine
from minitrain.nn.module import Buffer
from minitrain.optim import AdamRule, AdamWRule, LionRule, MomentumRule, NAdamRule, RMSpropRule, SGDRule
from minitrain.optim.schedules import Constant, Cosine, OneCycle, StepDecay
from minitrain.registry import REGISTRIES
from minitrain.storage.checkpoint import load_checkpoint
from minitrain.training.compiled_engine import CompiledEngine
from minitrain.training.experiment import build_experiment
from minitrain.training.loop import train

STEPS = 8
CLASSES = Blobs(samples=48, centers=3, features=4, spread=4.0)
IMAGES = replace(CLASSES, features=16)
NUMBERS = Sine(samples=48)
BASE = RunConfig(
    CLASSES, MLPConfig([6, 5]), AdamRule(), Constant(), lr=0.05, batch_size=16, steps=STEPS, eval_every=4, log_every=1
)
NOTEBOOK = replace(BASE, data=Point(), network=Lab2Config(), loss="output", batch_size=None, lr=0.01)


@pytest.fixture(params=["float32", "float64"])
def base(request):
    return replace(BASE, dtype=request.param)


def step_of(config):
    return build_experiment(replace(config, engine="eager")).step


def stack_of(configs):
    return CompiledEngine(*[step_of(config) for config in configs])


def taken(engine, steps=range(STEPS)):
    """What an engine tells on its way, and what it holds at the end, by name."""
    found = {}
    with np.errstate(all="ignore"):
        for k in steps:
            found[f"loss {k}"] = engine.loss(k).copy()
            if k % 4 == 0:
                found |= {f"{name} {k}": value for name, value in engine.evaluate().items()}
            engine.update(k)
        found |= {f"{name} at the end": value for name, value in engine.evaluate().items()}
    vectors = engine.vectors if isinstance(engine, CompiledEngine) else engine.vectors()
    return found | {name: vector.copy() for name, vector in vectors.items()}


def assert_same(given, expected):
    """Bit for bit; of a nan, that it is one."""
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        assert (given[name].dtype, given[name].shape) == (value.dtype, value.shape), name
        assert np.array_equal(np.isnan(given[name]), np.isnan(value)), name
        assert np.nan_to_num(given[name]).tobytes() == np.nan_to_num(value).tobytes(), name


def of_run(found, run):
    return {name: value[run] for name, value in found.items()}


def check(*configs):
    """Run each eagerly; the first compiled, and all as a stack, give the same."""
    expected = [taken(step_of(config)) for config in configs]
    assert expected[0]["loss 0"] != expected[0][f"loss {STEPS - 1}"]
    assert_same(taken(stack_of(configs[:1])), expected[0])
    stacked = taken(stack_of(configs))
    for run, one in enumerate(expected):
        assert_same(of_run(stacked, run), one)


def seeds(config, count=2):
    return [replace(config, seed=seed) for seed in range(count)]


def runs(config, **changes):
    """A run for each value; all keys change together."""
    values = zip(*changes.values(), strict=True)
    return [replace(config, **dict(zip(changes, each, strict=True))) for each in values]


# Every component there is: a new one is tested without being named here, or fails for want of an example


@pytest.mark.parametrize("name", REGISTRIES["activation"])
def test_activations(base, name):
    check(*seeds(replace(base, activation=name)))


@pytest.mark.parametrize("name", REGISTRIES["init"])
def test_initial_weights(base, name):
    check(*seeds(replace(base, network=MLPConfig([6, 5], init=name))))


@pytest.mark.parametrize("name", REGISTRIES["optimizer"])
def test_optimizers(base, name):
    check(*seeds(replace(base, optimizer=REGISTRIES["optimizer"][name](), lr=0.01)))


@pytest.mark.parametrize("name", REGISTRIES["schedule"])
def test_schedules(base, name):
    check(*seeds(replace(base, schedule=REGISTRIES["schedule"][name](), warmup=3)))


FITTING = {
    "cross_entropy": CLASSES, "binary_cross_entropy": Moons(samples=48), "hinge": CLASSES, "mse": NUMBERS,
    "mae": NUMBERS, "huber": NUMBERS,
}  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", REGISTRIES["loss"])
def test_losses(base, name, reduction):
    base = replace(base, reduction=reduction, lr=0.01)
    if name == "output":
        check(
            *runs(replace(NOTEBOOK, dtype=base.dtype, reduction=reduction), network=[Lab2Config(1.0), Lab2Config(2.0)])
        )
    else:
        check(*seeds(replace(base, loss=name, data=FITTING[name])))


@pytest.mark.parametrize("name", ["hinge", "mse"])
def test_losses_of_two_classes_and_of_classes_as_rows(base, name):
    check(*seeds(replace(base, loss=name, data=Moons(samples=48))))


NETWORKS = {
    "mlp": [
        MLPConfig([]), MLPConfig([1]), MLPConfig([3] * 4), MLPConfig([6], bias=False), MLPConfig([6, 5], norm="batch"),
        MLPConfig([6, 5], norm="layer"), MLPConfig([6, 5], dropout=0.3), MLPConfig([6, 5], frozen=["0.*", "4.bias"]),
        MLPConfig([16, 16], residual=True, norm="batch", dropout=0.2, frozen=["0.*"]),
        MLPConfig([6, 5], parametrization="mup_sgd"), MLPConfig([6, 5], parametrization="mup_adam", bias=False),
    ],
    "linear": [LinearConfig(), LinearConfig(bias=False)],
    "cnn": [CNNConfig([3, 2]), CNNConfig([2], kernel=2, pool=1), CNNConfig([2], kernel=1, pool=3)],
    "sequential": [SequentialConfig()],
    "lab2": [Lab2Config()],
}  # fmt: skip


@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize(
    ("name", "at"), [(n, i) for n in REGISTRIES["network"] for i in range(len(NETWORKS.get(n, "?")))]
)
def test_networks(name, at, batch_size):
    network = NETWORKS[name][at]
    if name == "lab2":
        check(*runs(replace(NOTEBOOK, dtype="float64"), lr=[0.01, 0.02]))
    else:
        dtype = "float32" if batch_size is None else "float64"
        check(*seeds(replace(BASE, data=IMAGES, network=network, batch_size=batch_size, dtype=dtype)))


IMAGE, SIGNAL = {"reshape": [2, 2, 4]}, {"reshape": [2, 8]}
LAYERS = {
    "linear": [[{"linear": {"units": 5, "bias": False}}, "relu"]],
    "conv": [
        [IMAGE, {"conv": {"channels": 3, "stride": 2, "padding": 1}}],
        [SIGNAL, {"conv": {"channels": 3}}, "tanh"],
    ],
    "max_pool": [[IMAGE, "max_pool"], [SIGNAL, {"max_pool": {"kernel": 3, "stride": 2}}]],
    "avg_pool": [[IMAGE, "avg_pool"], [SIGNAL, {"avg_pool": {"kernel": 3, "stride": 1}}]],
    "batch_norm": [["batch_norm"], [SIGNAL, "batch_norm"], [IMAGE, "batch_norm"]],
    "layer_norm": [["layer_norm"], [IMAGE, "layer_norm"]],
    "dropout": [[{"dropout": 0.3}, {"linear": 6}, {"dropout": 0.2}]],
    "flatten": [[IMAGE, "flatten"]],
    "reshape": [[{"reshape": [4, 4]}]],
    "activation": [[{"linear": 6}, "activation"]],
    "residual": [[{"residual": [{"linear": 16}, "batch_norm", "relu", {"dropout": 0.1}]}]],
}


@pytest.mark.parametrize(("name", "at"), [(n, i) for n in REGISTRIES["layer"] for i in range(len(LAYERS.get(n, "?")))])
def test_layers(base, name, at):
    network = SequentialConfig([{"linear": 16}, *LAYERS[name][at], "flatten", "linear"])
    check(*seeds(replace(base, data=IMAGES, network=network)))


@pytest.mark.parametrize(
    "changes",
    [
        {"max_grad_norm": 0.5}, {"l2": 0.01}, {"l2": 0.01, "l2_on": "all", "max_grad_norm": 0.5}, {"label_smoothing": 0.1},
        {"data": replace(CLASSES, validation=0.0)}, {"batch_size": 1}, {"batch_size": 38},
    ],
    ids=str,
)  # fmt: skip
def test_options(base, changes):
    check(*seeds(replace(base, **changes)))


@pytest.mark.parametrize("batch_size", [None, 7])
def test_data_on_disk(base, tmp_path, batch_size):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(48, 2, 2)))
    np.save(tmp_path / "y.npy", np.arange(48) % 3)
    data = NPY(x=str(tmp_path / "x.npy"), y=str(tmp_path / "y.npy"))
    check(*seeds(replace(base, data=data, batch_size=batch_size)))


# Stacks: what may differ between their runs, and what may not

DIFFERENT_NUMBERS = {
    "seed and lr": {"seed": [0, 1, 1], "lr": [0.1, 0.0, 0.3]},
    "l2": {"l2": [0.01, 0.0, 1.0]},
    "max_grad_norm": {"max_grad_norm": [0.1, 1.0, 100.0]},
    "label_smoothing": {"label_smoothing": [0.1, 0.0, 1.0]},
    "dropout": {"network": [MLPConfig([6, 5], dropout=rate) for rate in (0.5, 0.0, 0.9)]},
    "init": {"network": [MLPConfig(init="normal"), MLPConfig(init_scale=0.5), MLPConfig(init_scale=0.0)]},
    "momentum": {"optimizer": [MomentumRule(share) for share in (0.9, 0.0, 0.5)]},
    "rmsprop": {"optimizer": [RMSpropRule(0.9, 1e-8), RMSpropRule(0.0, 1.0), RMSpropRule(0.5, 0.1)]},
    "adam": {"optimizer": [AdamRule(), AdamRule(0.0, 0.9, 1.0), AdamRule(0.5, 0.0, 0.1)]},
    "adamw": {"optimizer": [AdamWRule(weight_decay=decay) for decay in (0.1, 0.0, 1.0)]},
    "nadam": {"optimizer": [NAdamRule(), NAdamRule(0.5, momentum_decay=0.0), NAdamRule(0.0, momentum_decay=1.0)]},
    "lion": {"optimizer": [LionRule(weight_decay=decay, beta1=decay) for decay in (0.1, 0.0, 0.9)]},
    "one_cycle": {"schedule": [OneCycle(rise=rise) for rise in (0.1, 0.2, 0.3)]},
    "schedule, warmup and steps": {
        "schedule": [Cosine(), StepDecay(every=2), Constant()], "warmup": [3, None, 2], "steps": [10, 20, 30],
    },
}  # fmt: skip


@pytest.mark.parametrize("changes", DIFFERENT_NUMBERS.values(), ids=DIFFERENT_NUMBERS)
def test_runs_of_a_stack_may_differ_in_numbers(changes):
    check(*runs(BASE, **changes))


DIFFERENT_TAPES = {
    "width": {"network": [MLPConfig([6]), MLPConfig([7])]},
    "norm": {"network": [MLPConfig([6], norm="layer"), MLPConfig([6], norm="batch")]},
    "frozen": {"network": [MLPConfig([6]), MLPConfig([6], frozen=["0.*"])]},
    "dropout": {"network": [MLPConfig([6]), MLPConfig([6], dropout=0.0)]},
    "activation": {"activation": ["relu", "tanh"]},
    "optimizer": {"optimizer": [SGDRule(), AdamRule()]},
    "loss": {"loss": ["cross_entropy", "mse"]},
    "batch_size": {"batch_size": [8, 16]},
    "l2": {"l2": [None, 0.0]},
    "l2_on": {"l2": [0.1, 0.1], "l2_on": ["all", "weights"]},
    "label_smoothing": {"label_smoothing": [None, 0.0]},
    "dtype": {"dtype": ["float32", "float64"]},
}


@pytest.mark.parametrize("changes", DIFFERENT_TAPES.values(), ids=DIFFERENT_TAPES)
def test_runs_with_other_operations_are_refused_and_left_as_they_were(changes):
    steps = [step_of(config) for config in runs(BASE, **changes)]
    vector = steps[0].parameters.vector
    with pytest.raises(ValueError, match=r"stack: run 1 computes .*, where run 0 computes .*may differ only in numbers"):
        CompiledEngine(*steps)
    assert steps[0].parameters.vector is vector


def test_runs_on_other_data_are_refused():
    with pytest.raises(ValueError, match="several datasets: expected one"):
        stack_of(runs(BASE, data=[CLASSES, replace(CLASSES, seed=1)]))


@pytest.mark.parametrize("network", [MLPConfig([6]), MLPConfig([6], norm="batch", dropout=0.2)])
def test_a_run_that_diverges_leaves_the_others_of_its_stack_as_they_were(base, network):
    configs = runs(replace(base, network=network, optimizer=SGDRule(), l2=0.1), lr=[0.05, 1e30, 0.1], seed=[0, 1, 2])
    check(*configs)
    assert not np.isfinite(taken(stack_of(configs))["loss 7"][1])


def test_each_run_has_its_own_part_of_a_stack():
    steps = [step_of(config) for config in seeds(BASE, 3)]
    stack = CompiledEngine(*steps)
    taken(stack)
    for run, step in enumerate(steps):
        assert all(np.shares_memory(vector, stack.vectors[name]) for name, vector in step.vectors().items())
        assert_same(step.vectors(), of_run(stack.vectors, run))
        assert_same({"loss": step.loss(STEPS)}, {"loss": stack.loss(STEPS)[run]})


# Going on from a checkpoint, and whole runs


@pytest.mark.parametrize("count", [1, 3])
def test_restored_in_the_middle(base, count):
    configs = seeds(replace(base, network=MLPConfig([6, 5], norm="batch", dropout=0.2, frozen=["0.*"])), count)
    whole = taken(stack_of(configs))
    stopped = [step_of(config) for config in configs]
    taken(CompiledEngine(*stopped), range(5))
    fresh = [step_of(config) for config in configs]
    engine = CompiledEngine(*fresh)
    for old, new in zip(stopped, fresh, strict=True):
        new.restore({name: array.copy() for name, array in old.arrays().items()})
    later = taken(engine, range(5, STEPS))
    assert_same(later, {name: whole[name] for name in later})


EVERYTHING = replace(
    BASE, network=MLPConfig([6, 5], norm="batch", dropout=0.2), schedule=Cosine(), warmup=5, max_grad_norm=1.0, l2=1e-3,
    label_smoothing=0.1, steps=60, patience=3, checkpoint_every=7, batch_size=7,
)  # fmt: skip
DIVERGES = replace(BASE, data=NUMBERS, activation="identity", loss="mse", optimizer=SGDRule(), lr=1e6, steps=60)


@pytest.mark.parametrize(("config", "status"), [(EVERYTHING, "completed"), (DIVERGES, "diverged")])
def test_a_whole_run_writes_the_same(tmp_path, config, status):
    summaries, contents = [], []
    for engine in ("numpy", "eager"):
        directory = tmp_path / engine
        directory.mkdir()
        summaries.append(train(build_experiment(replace(config, engine=engine)), directory, bar=False))
        files = sorted((directory / "checkpoints").glob("*.npz"))
        weights = [(f.name, {name: a.tobytes() for name, a in load_checkpoint(f)[0].items()}) for f in files]
        contents.append([(directory / "metrics.csv").read_bytes(), *weights])
    assert contents[0] == contents[1]
    timed = ("seconds", "steps_per_second")
    first, second = ({k: v for k, v in vars(summary).items() if k not in timed} for summary in summaries)
    assert first == second
    assert first["status"] == status
    assert first.get("stopped_early", True)
    assert (first.get("first_operation") is None) == (status == "completed")


# A person's own components


class Swish(nn.Module):
    def __init__(self):
        self.beta = Parameter(1.0, "beta")

    def forward(self, x):
        return x * (x * self.beta).sigmoid()


class Centred(nn.Module):
    """Moves a Buffer in training and uses it, too."""

    def __init__(self):
        self.seen = Buffer(0.0, "seen")

    def forward(self, x):
        if self.training:
            with no_grad():
                self.seen.data = self.seen * 0.9 + x.mean() * 0.1
        return (x - self.seen).tanh()


class Noisy(nn.Module):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        if not self.training:
            return x
        noise = Tensor(self.rng.normal(size=x.shape)).astype(x.dtype)
        other = x[self.rng.integers(0, len(x), len(x))]
        return (x + noise * 0.1) * (self.rng.random(x.shape) < 0.8) + other * 0.1


class Branches(nn.Module):
    def __init__(self, inputs, outputs, activation, seed):
        self.branches = [
            nn.Linear(inputs, 4, rng=seed),
            nn.Sequential(nn.Linear(inputs, 3, rng=seed + 1), activation()),
        ]
        self.last = nn.Linear(7, outputs, rng=seed + 2)

    def forward(self, x):
        return self.last(F.concatenate([branch(x) for branch in self.branches], axis=1))


@dataclass(frozen=True)
class BranchesConfig:
    def build(self, inputs, outputs, activation, seed):
        return Branches(inputs, outputs, activation, seed)

    def describe(self, inputs, outputs, activation):
        return "branches"


@dataclass(frozen=True)
class Anchored:
    """Keeps where it started and a mean in float64."""

    beta: float = option(0.9, "decay of the mean", at_least=0, below=1)
    default_lr: float = option(0.05, "learning rate", at_least=0)

    def init(self, params):
        return {"mean": params * 0.0, "start": params * 1.0}

    def coefficients(self, step):
        return {"share": 1 / (step + 1)}

    def update(self, grads, state, params, lr, share):
        mean = state["mean"] * self.beta + grads * np.linspace(0.5, 1.5, len(params))
        return params - mean * lr + (state["start"] - params) * share, {"mean": mean, "start": state["start"]}


@dataclass(frozen=True)
class Halves:
    every: int = option(2, "steps between halvings", at_least=1)

    def factor(self, step, steps):
        return 0.5 ** (step // self.every)


def focal(output, target):
    share = (F.softmax(output) * (target[:, None] == np.arange(output.shape[-1]))).sum(-1)
    return -((1 - share) ** 2 * share.log()).mean()


def by_place(output, target):
    return -F.take_along_axis(F.log_softmax(output), target[:, None]).mean()


def in_float64(output, target):
    return ((output - F.one_hot(target, output.shape[-1])) ** 2).mean()


OWN = {
    "activation": {
        "cube": lambda x: x**3 * 0.1 + (x > 0).where(x, 0.1 * x), "swish": Swish, "centred": Centred, "noisy": Noisy,
        "scaled": lambda x: x * np.linspace(0.5, 1.5, x.shape[-1]),
    },
    "loss": {"focal": focal, "by_place": by_place, "in_float64": in_float64},
    "network": {"branches": BranchesConfig},
    "optimizer": {"anchored": Anchored},
    "schedule": {"halves": Halves},
}  # fmt: skip


@pytest.mark.parametrize(("group", "name"), [(group, name) for group, table in OWN.items() for name in table])
def test_own_components(base, own_components, group, name):
    register(group, name)(OWN[group][name])
    component = OWN[group][name] if group in ("activation", "loss") else OWN[group][name]()
    check(*seeds(replace(base, **{group: name if group in ("activation", "loss") else component})))


def test_own_numbers_may_differ_in_a_stack(own_components):
    register("optimizer", "anchored")(Anchored)
    check(
        *runs(
            BASE, optimizer=[Anchored(beta=beta) for beta in (0.9, 0.0, 0.5)], schedule=[Halves(n) for n in (1, 2, 3)]
        )
    )
