"""The default run as a plain PyTorch script: same data, network, batches, steps, one thread, one plot.

python experiments/speed/plain_pytorch.py FOLDER [steps]
"""

import csv
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

folder, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
folder.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(1)
torch.manual_seed(0)
digits = np.load(Path(__file__).parents[2] / "minitrain" / "bundled" / "datasets.npz")
x, y = torch.tensor(digits["digits_x"], dtype=torch.float32), torch.tensor(digits["digits_y"], dtype=torch.int64)
order = torch.randperm(len(x))
x_val, y_val, x, y = x[order[:359]], y[order[:359]], x[order[359:]], y[order[359:]]
mean, deviation = x.mean(0), x.std(0, correction=0)
deviation[deviation == 0] = 1
x, x_val = (x - mean) / deviation, (x_val - mean) / deviation
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
loss_of = nn.CrossEntropyLoss()
per_epoch = len(x) // 64
rows = []
for step in range(steps + 1):
    if step % per_epoch == 0:
        order = torch.randperm(len(x))
    chosen = order[step % per_epoch * 64 :][:64]
    loss = loss_of(net(x[chosen]), y[chosen])
    if step % 10 == 0:
        row = [step, loss.item(), None, None]
        if step % 100 == 0:
            with torch.no_grad():
                output = net(x_val)
                row[2:] = loss_of(output, y_val).item(), (output.argmax(1) == y_val).float().mean().item()
        rows.append(row)
    if step < steps:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with (folder / "metrics.csv").open("w", newline="") as file:
    csv.writer(file).writerows(rows)
torch.save(net.state_dict(), folder / "last.pt")
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
left.semilogy([r[0] for r in rows], [r[1] for r in rows], label="training")
evaluated = [r for r in rows if r[2] is not None]
left.semilogy([r[0] for r in evaluated], [r[2] for r in evaluated], label="validation")
left.legend()
right.plot([r[0] for r in evaluated], [r[3] for r in evaluated])
figure.savefig(folder / "loss.png")
print(f"validation accuracy {evaluated[-1][3]:.1%}")
