"""Exchange of weights with PyTorch in safetensors files."""

import json
from pathlib import Path

import numpy as np
import pytest

from minitrain import load_model
from minitrain.autograd.tensor import Tensor
from minitrain.storage.checkpoint import load_checkpoint

torch = pytest.importorskip("torch")
numpy_files = pytest.importorskip("safetensors.numpy")
torch_files = pytest.importorskip("safetensors.torch")
safe_open = pytest.importorskip("safetensors").safe_open

RUN = ["data=iris", "network.widths=[8,6]", "network.norm=batch", "activation=tanh", "steps=30", "hydra.run.dir=run"]


def torch_network():
    nn = torch.nn
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(6, 3))


def test_exported_weights_load_into_pytorch(command):
    assert command(*RUN)[0] == 0
    status, out, _ = command("export", "run", "model.safetensors")
    assert status == 0
    assert "model.safetensors" in out
    module = torch_network().eval()
    module.load_state_dict(torch_files.load_file("model.safetensors"), strict=False)
    model = load_model("run")
    x = np.asarray(model.config.data.load().x_val, np.float32)
    theirs = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(model.network(Tensor(x)).numpy(), theirs, rtol=1e-5, atol=1e-6)


def test_export_of_the_last_checkpoint(command):
    command(*RUN)
    command("export", "run", "last.safetensors", "--checkpoint", "last")
    arrays, _ = load_checkpoint(Path("run", "checkpoints", "last.npz"))
    for name, array in numpy_files.load_file("last.safetensors").items():
        stored = arrays.get(f"parameters/{name}", arrays.get(f"buffers/{name}"))
        assert (array == stored).all()


def test_metadata_have_the_preprocessing(command):
    command(*RUN)
    command("export", "run", "model.safetensors")
    with safe_open("model.safetensors", "numpy") as file:
        metadata = json.loads(file.metadata()["minitrain"])
    model = load_model("run")
    assert metadata["network"] == "mlp 4-8-6-3, tanh, batch norm"
    stored = metadata["preprocessing"]
    assert stored["x_scale"]["mean"] == model.preprocessing.x_scale.mean.tolist()
    assert stored["class_names"] == ["setosa", "versicolor", "virginica"]


def test_initial_weights_from_a_pytorch_module(command):
    module = torch_network()
    torch_files.save_file(module.state_dict(), "theirs.safetensors")
    assert command(*RUN, "network.init_file=theirs.safetensors", "lr=0", "steps=1")[0] == 0
    arrays, _ = load_checkpoint(Path("run", "checkpoints", "last.npz"))
    for name, tensor in module.named_parameters():
        assert (arrays[f"parameters/{name}"] == tensor.detach().numpy()).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"\xff" * 100, "cannot be read"),
        (None, "give the state of a network of the same layers"),
    ],
    ids=["empty", "damaged", "another network's"],
)
def test_unsuitable_safetensors_file_is_reported_on_one_line(command, tmp_path, content, message):
    path = tmp_path / "theirs.safetensors"
    if content is None:
        torch_files.save_file(torch.nn.Linear(2, 2).state_dict(), path)
    else:
        path.write_bytes(content)
    status, _, err = command(*RUN, f"network.init_file={path}")
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("run").exists()


def test_invalid_export_is_reported_on_one_line(command):
    command(*RUN)
    for arguments in (["run", "model.pt"], ["run"], ["none", "a.safetensors"]):
        status, _, err = command("export", *arguments)
        assert status == 2
        assert len(err.splitlines()) == 1
