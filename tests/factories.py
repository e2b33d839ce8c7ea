"""Runs' directories made by hand, for tests of what reads them."""

import json

import numpy as np
import yaml

DEFAULTS = {
    "data": {"name": "digits"},
    "network": {"name": "mlp", "widths": [64, 32]},
    "optimizer": {"name": "sgd", "default_lr": 0.1},
    "lr": "${optimizer.default_lr}",
    "activation": "relu",
    "seed": 0,
}


def curve(final, steps=11, start=0.1):
    """Accuracies that rise to `final`."""
    return start + (final - start) * np.linspace(0, 1, steps) ** 0.5


def make_run(directory, config=None, metrics=None, status="completed", **summary):
    """metrics: name -> values at steps 0, 10, 20, ...; nan leaves a cell empty."""
    nested = {**DEFAULTS, **(config or {})}
    metrics = {"val_accuracy": curve(0.9)} if metrics is None else metrics
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "config.yaml").write_text(yaml.safe_dump(nested, sort_keys=False))
    columns = {"train_loss": 1 - np.asarray(next(iter(metrics.values()))), **metrics}
    rows = ["step,lr," + ",".join(columns)]
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        rows.append(",".join([str(10 * i), "0.1", *("" if np.isnan(v) else repr(float(v)) for v in values)]))
    (directory / "metrics.csv").write_text("\n".join(rows) + "\n")
    stored = {
        "status": status,
        "step": max(0, 10 * (len(rows) - 2)),
        "steps": 100,
        "seconds": 1.5,
        "steps_per_epoch": 20,
    }
    stored |= {"final": {}, "best": None}
    stored["overrides"] = [f"{key}={value}" for key, value in (config or {}).items() if not isinstance(value, dict)]
    (directory / "summary.json").write_text(json.dumps({**stored, **summary}))
    return directory


def make_grid(directory, lrs=(0.01, 0.1, 1.0), activations=("relu", "tanh"), seeds=(0, 1, 2)):
    """A sweep in which lr=0.1 is best, lr=1 with tanh diverges, and a seed moves the accuracy by 1%."""
    number = 0
    for i, lr in enumerate(lrs):
        for j, activation in enumerate(activations):
            for seed in seeds:
                final = 0.95 - 0.1 * abs(i - 1) - 0.05 * j + 0.01 * seed
                status = "diverged" if lr == 1.0 and activation == "tanh" else "completed"
                config = {"lr": lr, "activation": activation, "seed": seed}
                make_run(directory / str(number), config, {"val_accuracy": curve(final)}, status)
                number += 1
    return directory
