"""Suggestions for unknown keys and names: what the user probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

EPOCH_KEYS = ("epochs", "num_epochs", "max_epochs")

# Names that other libraries use -> what to set here.
SYNONYMS = {
    "epochs": "steps",
    "num_epochs": "steps",
    "max_epochs": "steps",
    "max_steps": "steps",
    "iterations": "steps",
    "learning_rate": "lr",
    "batch": "batch_size",
    "dataset": "data",
    "model": "network",
    "net": "network",
    "optim": "optimizer",
    "criterion": "loss",
    "scheduler": "schedule",
    "lr_scheduler": "schedule",
    "weight_decay": "optimizer=adamw with optimizer.weight_decay, or l2",
    "dropout": "network.dropout",
    "widths": "network.widths",
    "hidden": "network.widths",
    "hidden_sizes": "network.widths",
    "layers": "network=sequential with network.layers, or network.widths",
    "momentum": "optimizer=momentum with optimizer.momentum",
    "betas": "optimizer.beta1 and optimizer.beta2",
    "random_seed": "seed",
    "grad_clip": "max_grad_norm",
    "clip_grad_norm": "max_grad_norm",
    "early_stopping": "patience",
    "threads": "blas_threads",
    "device": "nothing: minitrain computes on the CPU",
}


def closest(name: str, names: Iterable[str]) -> str | None:
    """The name that is spelled most like this one; None if there is none.

    >>> closest("optmizer", ["network", "optimizer"])
    'optimizer'
    """
    from difflib import get_close_matches  # only messages need it

    matches = get_close_matches(name, list(names), n=1, cutoff=0.65)
    return matches[0] if matches else None


def unknown_key(key: str, valid: Sequence[str], note: str = "") -> str:
    """The end of the message about an unknown key: a suggestion with a note on it, and the valid keys.

    >>> unknown_key("optmizer", ["lr", "optimizer"])
    'unknown key; did you mean optimizer? valid keys: lr, optimizer'
    >>> unknown_key("learning_rate", ["lr", "optimizer"])
    'unknown key; set lr; valid keys: lr, optimizer'
    """
    keys = f"valid keys: {', '.join(valid) or 'none'}"
    if key in SYNONYMS:
        return f"unknown key; set {SYNONYMS[key]}{note and f' ({note})'}; {keys}"
    parent, _, name = key.rpartition(".")
    suggestion = closest(name, [name.rpartition(".")[2] for name in valid])
    full = f"{parent}.{suggestion}" if parent else suggestion
    return f"unknown key; did you mean {full}? {keys}" if suggestion else f"unknown key; {keys}"
