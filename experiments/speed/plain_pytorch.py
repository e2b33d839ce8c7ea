"""The default run as a plain PyTorch script: the same data, network, batches and steps, one thread, one plot.

    python experiments/speed/plain_pytorch.py DIRECTORY [--steps 1000] [--runs 1] [--data digits]

Several runs are a loop over seeds in this process. `--data moons`: an MLP 2-16-16-2 with SiLU and full batches.
"""

import argparse
import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn


def digits():
    arrays = np.load(Path(__file__).parents[2] / "minitrain" / "data" / "assets" / "datasets.npz")
    x, y = torch.tensor(arrays["digits_x"], dtype=torch.float32), torch.tensor(arrays["digits_y"], dtype=torch.int64)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    return x, y, net, 64


def moons():
    t = torch.linspace(0, torch.pi, 250)
    upper, lower = torch.stack([t.cos(), t.sin()], 1), torch.stack([1 - t.cos(), 0.5 - t.sin()], 1)
    x = torch.cat([upper, lower]) + 0.1 * torch.randn(500, 2)
    y = torch.arange(2).repeat_interleave(250)
    return x, y, nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 2)), None


def train(directory, steps, seed, make_experiment):
    torch.manual_seed(seed)
    x, y, net, batch = make_experiment()
    order, held_out = torch.randperm(len(x)), len(x) // 5
    x_val, y_val, x, y = x[order[:held_out]], y[order[:held_out]], x[order[held_out:]], y[order[held_out:]]
    mean, deviation = x.mean(0), x.std(0, correction=0)
    deviation[deviation == 0] = 1
    x, x_val = (x - mean) / deviation, (x_val - mean) / deviation
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    loss_function = nn.CrossEntropyLoss()
    per_epoch = 1 if batch is None else len(x) // batch
    rows = []
    for step in range(steps + 1):
        if batch is None:
            loss = loss_function(net(x), y)
        else:
            if step % per_epoch == 0:
                order = torch.randperm(len(x))
            indices = order[step % per_epoch * batch :][:batch]
            loss = loss_function(net(x[indices]), y[indices])
        if step % 10 == 0:
            row = [step, loss.item(), None, None]
            if step % 100 == 0:
                with torch.no_grad():
                    output = net(x_val)
                    row[2:] = loss_function(output, y_val).item(), (output.argmax(1) == y_val).float().mean().item()
            rows.append(row)
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    torch.save(net.state_dict(), directory / "last.pt")
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--data", choices=("digits", "moons"), default="digits")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    make_experiment = {"digits": digits, "moons": moons}[arguments.data]
    curves = [
        train(arguments.directory / str(seed), arguments.steps, seed, make_experiment) for seed in range(arguments.runs)
    ]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for rows in curves:
        evaluated = [r for r in rows if r[2] is not None]
        left.semilogy([r[0] for r in rows], [r[1] for r in rows], label="training")
        left.semilogy([r[0] for r in evaluated], [r[2] for r in evaluated], label="validation")
        right.plot([r[0] for r in evaluated], [r[3] for r in evaluated])
    if arguments.runs == 1:
        left.legend()
    figure.savefig(arguments.directory / "loss.png")
    print(f"validation accuracy {np.mean([rows[-1][3] for rows in curves]):.1%}")


if __name__ == "__main__":
    main()
