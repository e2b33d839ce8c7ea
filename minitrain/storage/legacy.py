"""Names that earlier versions used, and what they are called now; what later options are in their runs.

The same tables serve the directories of old runs, which are upgraded when they are read, and the command line, where an
old name is an error that states the new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minitrain.errors import abbreviate

# Key of version 0.1.0 -> key of today
RENAMED_KEYS = {
    "clip": "max_grad_norm",
    "metrics": "diagnostics",
    "metric": "monitor",
    "network.kernel": "network.kernel_size",
}
# Key, value of version 0.1.0 -> the overrides that set the same today
RENAMED_VALUES = {
    ("engine", "replay"): ("engine=numpy",),
    ("optimizer", "adam_hat"): ("optimizer=adam", "optimizer.eps_hat=true"),
    ("hydra/launcher", "stacked"): ("hydra/launcher=grouped",),
}
# Layer of `network=sequential` -> its option in version 0.1.0, and the option of today
RENAMED_LAYER_OPTIONS = {
    "conv": ("kernel", "kernel_size"),
    "max_pool": ("kernel", "kernel_size"),
    "avg_pool": ("kernel", "kernel_size"),
    "dropout": ("rate", "p"),
}
# Options of a dataset with a split, which have these names since version 0.1.0 -> later ones, and the values that mean
# what was done before
SPLIT_OPTIONS = {"validation", "standardize", "seed"}
LATER_SPLIT_OPTIONS = {"test": 0.0, "folds": None, "fold": None, "stratify": False}


def replacement(key: str, value: object = None) -> str | None:
    """What replaces a key, or a key with this value; None if neither was renamed.

    >>> replacement("clip", 1), replacement("engine", "replay"), replacement("lr")
    ('max_grad_norm=1', 'engine=numpy', None)
    """
    if key in RENAMED_KEYS:
        return f"{RENAMED_KEYS[key]}={abbreviate(value)}"
    if isinstance(value, str) and (key, value) in RENAMED_VALUES:
        return " ".join(RENAMED_VALUES[key, value])
    return None


def upgrade_overrides(overrides: Iterable[str]) -> list[str]:
    """Overrides with today's names.

    >>> upgrade_overrides(["clip=1", "optimizer=adam_hat", "lr=0.1"])
    ['max_grad_norm=1', 'optimizer=adam', 'optimizer.eps_hat=true', 'lr=0.1']
    """
    upgraded: list[str] = []
    for text in overrides:
        key, equals, value = text.partition("=")
        upgraded += RENAMED_VALUES.get((key, value), (f"{RENAMED_KEYS.get(key, key)}{equals}{value}",))
    return upgraded


def upgrade(config: dict[str, Any]) -> dict[str, Any]:
    """The config of a run with today's names, and with the values of options that it was too early for.

    The order of the keys stays.

    >>> upgrade({"clip": 1, "engine": "replay", "optimizer": {"name": "adam_hat"}})
    {'max_grad_norm': 1, 'engine': 'numpy', 'optimizer': {'name': 'adam', 'eps_hat': True}}
    """
    upgraded = {RENAMED_KEYS.get(key, key): value for key, value in config.items()}
    if upgraded.get("engine") == "replay":
        upgraded["engine"] = "numpy"
    data, optimizer, network = (upgraded.get(group) for group in ("data", "optimizer", "network"))
    if isinstance(data, dict) and data.keys() >= SPLIT_OPTIONS and "stratify" not in data:
        upgraded["data"] = {**data, **LATER_SPLIT_OPTIONS}
    if isinstance(optimizer, dict) and optimizer.get("name") == "adam_hat":
        upgraded["optimizer"] = {**optimizer, "name": "adam", "eps_hat": True}
    if isinstance(network, dict):
        if network.get("name") == "cnn":
            network = {"kernel_size" if key == "kernel" else key: value for key, value in network.items()}
        if network.get("name") == "sequential" and isinstance(network.get("layers"), list):
            network = {**network, "layers": [_upgrade_layer(layer) for layer in network["layers"]]}
        upgraded["network"] = network
    return upgraded


def _upgrade_layer(layer: Any) -> Any:
    if not isinstance(layer, dict) or len(layer) != 1:
        return layer
    ((name, options),) = layer.items()
    if name == "residual" and isinstance(options, list):
        return {name: [_upgrade_layer(inner) for inner in options]}
    if name in RENAMED_LAYER_OPTIONS and isinstance(options, dict):
        old, new = RENAMED_LAYER_OPTIONS[name]
        return {name: {new if key == old else key: value for key, value in options.items()}}
    return layer
