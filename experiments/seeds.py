"""The number of seeds that distinguishes the two activations of a sweep: python experiments/seeds.py SWEEP_DIR

Reads the runs of `minitrain -m experiments=seeds`; runs with the same seed have the same initial weights and batches.
The mean difference of their final accuracy over n seeds is bootstrapped (Efron 1979): 95% of all experiments with n
seeds lie between its 2.5 and 97.5 percentiles. If that interval excludes 0, n seeds distinguish the activations. Writes
seeds.png to the directory.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from minitrain.compare.results import Results, load_runs
from minitrain.plotting.figures import new_figure, own_style, save_figure
from minitrain.plotting.palette import BLUE, VERMILION
from minitrain.storage.metric import format_share

METRIC, KEY = "val_accuracy", "activation"
DRAWS = 10_000
COUNTS = np.unique(np.geomspace(2, 200, 60).round().astype(int))  # numbers of seeds n


def final_accuracies(runs: Results) -> dict[str, np.ndarray]:
    """Activation -> final accuracy in percent, ordered by seed: [seeds]."""
    ordered = sorted(runs, key=lambda run: run.config["seed"])
    names = dict.fromkeys(run.config[KEY] for run in ordered)
    return {
        name: np.array([100 * run.curve(METRIC)[1][-1] for run in ordered if run.config[KEY] == name]) for name in names
    }


def bootstrap(difference: np.ndarray) -> np.ndarray:
    """Percentiles 2.5 and 97.5 of the mean over n seeds, drawn with replacement, for each n in COUNTS: [2, counts]."""
    rng = np.random.default_rng(0)
    means = [rng.choice(difference, (DRAWS, n)).mean(axis=1) for n in COUNTS]
    return np.percentile(means, [2.5, 97.5], axis=1)


def _mean_and_deviation(percentages: np.ndarray) -> str:
    return f"{format_share(percentages.mean() / 100, 2)} ± {format_share(percentages.std(ddof=1) / 100, 2)}"


@own_style()
def draw(
    accuracies: dict[str, np.ndarray], difference: np.ndarray, interval: np.ndarray, enough: int | None, path: Path
) -> None:
    """Plot histograms of the final accuracies, and the interval of their mean difference over n."""
    figure = new_figure(10.4, 4.1)
    figure.set_layout_engine("constrained")
    left, right = figure.subplots(1, 2)
    (first, a), (second, b) = accuracies.items()
    unique = np.unique([a, b])
    width = 0.4 * np.diff(unique).min(initial=1.0)
    for name, values, color, side in ((first, a, BLUE, -0.5), (second, b, VERMILION, 0.5)):
        left.bar(unique + side * width, [(values == v).sum() for v in unique], width, color=color,
                 label=f"{name}: {_mean_and_deviation(values)}")  # fmt: skip
    left.set(xlabel="final validation accuracy, %", ylabel=f"seeds, of {len(a)} each")
    left.legend(frameon=False, fontsize=9)
    right.fill_between(
        COUNTS, *interval, color=BLUE, alpha=0.2, linewidth=0, label="95% of all experiments with n seeds"
    )
    right.axhline(difference.mean(), color=BLUE, linewidth=1.8, label=f"mean of all {len(difference)}")
    right.axhline(0, color="black", linewidth=0.8)
    if enough is not None:
        right.plot(enough, 0, "o", color="black", linestyle="none", label=f"{enough} seeds distinguish them")
    right.set(xscale="log", xlabel="seeds n", ylabel=f"accuracy of {first} - {second}, points")
    right.set_xticks([2, 5, 10, 20, 50, 100, 200], labels=["2", "5", "10", "20", "50", "100", "200"], minor=False)
    right.legend(frameon=False, fontsize=9)
    for axes in (left, right):
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
    save_figure(figure, path)


def main(directory: Path) -> None:
    accuracies = final_accuracies(load_runs(directory))
    if len(accuracies) != 2 or len({len(values) for values in accuracies.values()}) != 1:
        sys.exit(f"{directory}: expected runs of two activations with the same seeds, as in experiments=seeds")
    (first, a), (second, b) = accuracies.items()
    difference = a - b
    interval = bootstrap(difference)
    excludes_0 = (interval > 0).all(axis=0) | (interval < 0).all(axis=0)
    enough = int(COUNTS[excludes_0.argmax()]) if excludes_0.any() else None
    for name, values in accuracies.items():
        print(f"{name}: {_mean_and_deviation(values)}, {values.min():.1f} to {values.max():.1f}")
    means_of_three = np.random.default_rng(0).choice(difference, (DRAWS, 3)).mean(axis=1)
    misleading = (means_of_three * difference.mean() <= 0).mean()
    print(f"{first} - {second}: {difference.mean():+.2f} points")
    print(
        f"{format_share(misleading, digits=0)} of experiments with three seeds show no difference or the opposite sign"
    )
    print(f"the interval excludes 0 from n = {enough}" if enough else f"{len(a)} seeds do not distinguish them")
    draw(accuracies, difference, interval, enough, directory / "seeds.png")
    print(directory / "seeds.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
