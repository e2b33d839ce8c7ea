"""How many seeds it takes to tell the two halves of a sweep apart: python experiments/seeds.py SWEEP_DIR

Reads the runs of `minitrain -m experiments=seeds`, of which two with the same seed have the same initial weights and
batches, and bootstraps (Efron 1979) the mean difference of their final accuracy over n seeds: between its 2.5 and 97.5
percentiles lie 95 % of what people with n seeds would have found. Where 0 is outside, n seeds tell the two apart.
Draws seeds.png into the directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from minitrain.compare.results import Results, load_runs
from minitrain.plotting.figures import BLUE, VERMILION, new_figure, save_figure

METRIC, KEY = "val_accuracy", "activation"
DRAWS = 10_000
COUNTS = np.unique(np.geomspace(2, 200, 60).round().astype(int))  # seeds that somebody might have


def final_accuracies(runs: Results) -> dict[str, np.ndarray]:
    """Activation -> accuracy at the end, in percent, in the order of the seeds: [seeds]."""
    ordered = sorted(runs, key=lambda run: run.config["seed"])
    names = dict.fromkeys(run.config[KEY] for run in ordered)
    return {
        name: np.array([100 * run.curve(METRIC)[1][-1] for run in ordered if run.config[KEY] == name]) for name in names
    }


def bootstrap(difference: np.ndarray) -> np.ndarray:
    """Percentiles 2.5 and 97.5 of the mean over n seeds drawn with replacement, for each n of COUNTS: [2, counts]."""
    rng = np.random.default_rng(0)
    means = [rng.choice(difference, (DRAWS, n)).mean(axis=1) for n in COUNTS]
    return np.percentile(means, [2.5, 97.5], axis=1)


def draw(
    found: dict[str, np.ndarray], difference: np.ndarray, band: np.ndarray, enough: int | None, path: Path
) -> None:
    """Left the final accuracies of both activations, right the interval of their difference over n."""
    figure = new_figure(10.4, 4.1)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    (first, a), (second, b) = found.items()
    values = np.unique([a, b])
    width = 0.4 * np.diff(values).min(initial=1.0)
    for name, each, color, side in ((first, a, BLUE, -0.5), (second, b, VERMILION, 0.5)):
        left.bar(values + side * width, [(each == v).sum() for v in values], width, color=color,
                 label=f"{name}: {each.mean():.2f} ± {each.std(ddof=1):.2f} %")  # fmt: skip
    left.set(xlabel="validation accuracy at the end, %", ylabel=f"seeds, of {len(a)} each")
    left.legend(frameon=False, fontsize=9)
    right.fill_between(COUNTS, *band, color=BLUE, alpha=0.2, linewidth=0, label="95 % of all experiments with n seeds")
    right.axhline(difference.mean(), color=BLUE, linewidth=1.8, label=f"mean of all {len(difference)}")
    right.axhline(0, color="black", linewidth=0.8)
    if enough is not None:
        right.plot(enough, 0, "o", color="black", linestyle="none", label=f"{enough} seeds tell them apart")
    right.set(xscale="log", xlabel="seeds n", ylabel=f"accuracy of {first} - {second}, points")
    right.set_xticks([2, 5, 10, 20, 50, 100, 200], labels=["2", "5", "10", "20", "50", "100", "200"], minor=False)
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
    save_figure(figure, path)


def main(directory: Path) -> None:
    found = final_accuracies(load_runs(directory))
    if len(found) != 2 or len({len(values) for values in found.values()}) != 1:
        sys.exit(f"{directory}: expected runs of two activations with the same seeds, as experiments=seeds makes them")
    (first, a), (second, b) = found.items()
    difference = a - b
    band = bootstrap(difference)
    told = (band > 0).all(axis=0) | (band < 0).all(axis=0)
    enough = int(COUNTS[told.argmax()]) if told.any() else None
    for name, values in found.items():
        print(f"{name}: {values.mean():.2f} % ± {values.std(ddof=1):.2f}, {values.min():.1f} to {values.max():.1f}")
    wrong = (np.random.default_rng(0).choice(difference, (DRAWS, 3)).mean(axis=1) * difference.mean() <= 0).mean()
    print(
        f"{first} - {second}: {difference.mean():+.2f} points; of three seeds, {wrong:.0%} show none or the other sign"
    )
    print(f"the interval leaves out 0 from n = {enough} on" if enough else f"{len(a)} seeds do not tell them apart")
    draw(found, difference, band, enough, directory / "seeds.png")
    print(directory / "seeds.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
