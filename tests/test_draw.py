"""Pictures of graphs: what is in them, where it goes, and the files."""

from itertools import combinations, pairwise

import numpy as np
import pytest

from minitrain import Parameter, Tensor, draw, draw_network, nn, no_grad
from minitrain.components.losses import cross_entropy
from minitrain.components.networks import Lab2Config, MLPConfig
from minitrain.components.sequential import CNNConfig
from minitrain.plotting.graph_diagram import LARGEST, Frame, Graph, Node, graph_of, graph_of_network
from minitrain.plotting.graph_drawing import _outlines
from minitrain.plotting.graph_layout import GAP, Layout, layered
from minitrain.registry import REGISTRIES

X, CLASSES = np.random.default_rng(0).normal(size=(6, 64)), np.arange(6)


def titles(graph):
    return [node.title for node in graph.nodes]


def named_edges(graph):
    return [(graph.nodes[i].title, graph.nodes[j].title) for i, j in graph.edges]


def mlp(**options):
    return MLPConfig(**options).build(64, 10, nn.ReLU, seed=0)


def test_the_notebooks_expression_with_values_and_gradients():
    a, b, c, d = (Parameter(value, name) for value, name in ((3.0, "a"), (2.0, "b"), (5.0, "c"), (5.0, "d")))
    loss = (a * b + c) * d
    assert graph_of(loss).nodes[-1].notes == ("value 55",)
    loss.backward()
    graph = graph_of(loss)
    assert [(node.kind, node.title, *node.notes) for node in graph.nodes] == [
        ("parameter", "a", "value 3", "grad 10"),
        ("parameter", "b", "value 2", "grad 15"),
        ("operation", "a * b", "value 6", "grad 5"),
        ("parameter", "c", "value 5", "grad 5"),
        ("operation", "[a * b + c]", "value 11", "grad 5"),
        ("parameter", "d", "value 5", "grad 11"),
        ("operation", "[a * b + c] * d", "value 55", "grad 1"),
    ]
    assert graph.edges == [(0, 2), (1, 2), (2, 4), (3, 4), (4, 6), (5, 6)]


def test_a_shared_value_is_one_node_and_each_use_an_edge():
    x = Parameter(4.0, "x")
    square = x * x
    graph = graph_of(square * square + 3.0)
    assert titles(graph) == ["x", "x * x", "x * x * x * x", "3", "[x * x * x * x + 3.0]"]
    assert graph.edges == [(0, 1), (0, 1), (1, 2), (1, 2), (2, 4), (3, 4)]
    assert graph.nodes[3].kind == "constant"


def test_arrays_show_type_and_shape_and_small_ones_their_entries():
    w, x = Parameter(np.ones((3, 2)), "w"), np.array([[1.0, 2.0]], dtype=np.float64)
    product = x @ w.T
    product.sum().backward()
    notes = {node.title: node.notes for node in graph_of(product).nodes}
    assert notes["w"] == ("float64 [3, 2]", "grad of length 3.87")  # √(3 (1 + 4))
    assert notes["constant"] == ("value [[1, 2]]",)
    assert notes["matmul"] == ("value [[3, 3, 3]]", "grad [[1, 1, 1]]")
    product = product * 1.0
    product.name = "scores"
    assert graph_of(product).nodes[-1].notes[0] == "multiply"


def test_of_a_large_graph_the_nodes_nearest_to_the_value_remain():
    x = Parameter(1.0, "x")
    for _ in range(3000):
        x = x.sin()
    graph = graph_of(x)
    assert graph.count == 3001
    assert [node.kind for node in graph.nodes] == ["rest"] + ["operation"] * LARGEST
    assert graph.values[-1] is x
    assert graph.edges == [(i, i + 1) for i in range(LARGEST)]


def test_a_network_has_a_node_for_each_layer():
    graph, frames = graph_of_network(mlp(widths=[32]), X, cross_entropy, CLASSES)
    assert [(node.kind, node.title, *node.notes) for node in graph.nodes[:-1]] == [
        ("constant", "input", "[batch, 64]"),
        ("layer", "Linear 0", "weight [32, 64], bias [32]", "2,080 parameters", "→ [batch, 32]"),
        ("layer", "ReLU 1", "→ [batch, 32]"),
        ("layer", "Linear 2", "weight [10, 32], bias [10]", "330 parameters", "→ [batch, 10]"),
        ("constant", "target", "[batch]"),
    ]
    assert graph.nodes[-1].title == "cross_entropy"
    assert graph.edges == [(0, 1), (1, 2), (2, 3), (3, 5), (4, 5)]
    assert frames == []
    registered, _ = graph_of_network(mlp(widths=[32]), X, REGISTRIES["loss"]["cross_entropy"], CLASSES)
    assert registered.nodes[-1].notes == graph.nodes[-1].notes == (f"value {value_of(mlp(widths=[32])):.6g}",)


def value_of(net):
    return cross_entropy(net(Tensor(X)), CLASSES).item()


def test_a_residual_is_framed_and_its_input_skips_the_layers_inside():
    net = mlp(widths=[64], residual=True, dropout=0.1).eval()
    graph, (frame,) = graph_of_network(net, X)
    assert titles(graph) == ["input", "Linear 0.inner.0", "ReLU 0.inner.1", "Dropout 0.inner.2", "add", "Linear 1"]
    assert ("input", "add") in named_edges(graph)
    assert ("Dropout 0.inner.2", "add") in named_edges(graph)  # a layer that passes its input on is there too
    assert len(graph.edges) == 6
    assert frame.title == "Residual 0"
    assert frame.members == {1, 2, 3, 4}
    assert graph.nodes[4].notes == ("[batch, 64]",)


def test_a_deep_network_is_collapsed_to_its_blocks():
    graph, frames = graph_of_network(mlp(widths=[64] * 20, residual=True, norm="layer"), X)
    assert titles(graph) == ["input", *(f"Residual {i}" for i in range(20)), "Linear 20"]
    assert graph.nodes[1].notes == ("4,288 parameters", "→ [batch, 64]")
    assert frames == []
    flat = nn.Sequential(*(nn.Tanh() for _ in range(100)))
    graph, frames = graph_of_network(flat, X)
    assert graph.count == 101
    assert titles(graph) == ["…", *(f"Tanh {i}" for i in range(60, 100))]


def test_what_a_network_computes_beside_its_layers_is_there():
    graph, _ = graph_of_network(Lab2Config().build(1, 1, nn.ReLU, seed=0), [[3.0]], REGISTRIES["loss"]["output"])
    assert titles(graph).count("ReLU activation") == 2
    assert titles(graph).count("b") == 1
    assert ("input", "multiply") in named_edges(graph)
    assert graph.nodes[-1].notes == ("value 9",)


class Doubled(nn.Module):
    """Its layer, of twice the input."""

    def __init__(self):
        self.layer = nn.Linear(3, 1, rng=0)

    def forward(self, x):
        return self.layer(x * 2.0)


def test_what_comes_before_the_first_layer_is_there_inside_no_grad_too():
    with no_grad():
        graph, _ = graph_of_network(
            nn.Sequential(Doubled(), nn.Tanh()), np.ones((4, 3)), cross_entropy, np.zeros(4, int)
        )
    assert named_edges(graph)[:4] == [
        ("input", "multiply"),
        ("2", "multiply"),
        ("multiply", "Linear 0.layer"),
        ("Linear 0.layer", "Tanh 1"),
    ]


def test_layers_tell_their_options_what_is_frozen_and_functions_their_name():
    net = nn.Sequential(nn.MaxPool1d(2), nn.Linear(2, 2, rng=0), nn.activation.activation_layer("tanh")())
    net.freeze(["1.weight"])
    graph, _ = graph_of_network(net, np.ones((1, 3, 4)))
    assert graph.nodes[1].notes == ("kernel_size 2, padding 0", "→ [batch, 3, 2]")
    assert graph.nodes[2].notes[0] == "weight [2, 2] frozen, bias [2]"

    def cube(x):
        return x**3

    graph, _ = graph_of_network(nn.activation.FunctionLayer(cube), np.ones((1, 3)))
    assert graph.nodes[1].title.split() == ["cube"]


def test_whole_numbers_as_input_and_no_grad():
    net = nn.Sequential(nn.Embedding(10, 3, rng=0).freeze(["*"]), nn.Flatten(), nn.Linear(6, 1, rng=0))
    with no_grad():
        graph, _ = graph_of_network(net, np.array([[1, 2]]))
    assert named_edges(graph) == [("input", "Embedding 0"), ("Embedding 0", "Flatten 1"), ("Flatten 1", "Linear 2")]


def test_drawing_leaves_the_network_as_it_was():
    net = mlp(widths=[8], norm="batch", dropout=0.5)
    before, noise = net.state_dict(), repr(net.layers[3].rng.bit_generator.state)
    draw_network(net, X, cross_entropy, CLASSES)
    assert all((value == before[name]).all() for name, value in net.state_dict().items())
    assert repr(net.layers[3].rng.bit_generator.state) == noise
    assert all(
        "forward" not in vars(module) and p.grad is None
        for module in net.named_modules().values()
        for p in net.parameters()
    )


class Branches(nn.Module):
    """The sum of two parts side by side."""

    def __init__(self):
        self.first = nn.Residual(nn.Sequential(nn.Linear(64, 64, rng=0), nn.Tanh()))
        self.second = nn.Residual(nn.Tanh())

    def forward(self, x):
        return self.first(x) + self.second(x)


def patches(net, kind):
    """Where the patches of a kind are in the picture of a network."""
    return [patch.get_bbox() for patch in draw_network(net, X).axes[0].patches if type(patch).__name__ == kind]


def test_frames_lie_around_their_own_boxes_alone():
    frames, boxes = patches(Branches(), "Rectangle"), patches(Branches(), "FancyBboxPatch")
    assert [sum(frame.overlaps(box) for box in boxes) for frame in frames] == [3, 2]
    assert not frames[0].overlaps(frames[1])
    for frame in frames:
        inside = [box for box in boxes if frame.overlaps(box)]
        assert all(frame.fully_containsx(x) for box in inside for x in (box.x0, box.x1))
        assert frame.x1 > max(box.x1 for box in inside) + GAP / 2  # the arrow that skips them is inside too


def test_a_frame_lies_around_the_frames_inside():
    inner, outer = patches(nn.Sequential(nn.Residual(nn.Residual(nn.Linear(64, 64, rng=0)))), "Rectangle")
    assert outer.x0 < inner.x0 < inner.x1 < outer.x1
    assert outer.y0 < inner.y0 < inner.y1 < outer.y1


def test_a_frame_that_would_touch_another_box_is_left_out():
    graph = Graph([Node("layer", "")] * 3, [], [], 3)
    boxes = [(10.0, 10.0)] * 3
    layout = Layout([(0.0, 0.0), (0.0, 50.0), (0.0, 100.0)], [])
    frames = [Frame("around all but the middle", frozenset({0, 2})), Frame("around two", frozenset({0, 1}))]
    assert [frame.title for frame, _, _ in _outlines(frames, graph, boxes, layout)] == ["around two"]


GRAPHS = [
    lambda: graph_of(cross_entropy(mlp()(Tensor(X)), CLASSES)),
    lambda: graph_of(cross_entropy(mlp(widths=[64, 64], residual=True, norm="layer")(Tensor(X)), CLASSES)),
    lambda: graph_of_network(mlp(widths=[64, 64], residual=True), X, cross_entropy, CLASSES)[0],
    lambda: graph_of_network(CNNConfig().build(64, 10, nn.ReLU, seed=0), X)[0],
    lambda: graph_of(sum(Parameter(1.0, f"x{i}") * Parameter(1.0, f"y{i % 3}") for i in range(6))),
]


@pytest.mark.parametrize("graph", GRAPHS)
def test_boxes_do_not_overlap_and_arrows_go_down_and_around_them(graph):
    graph = graph()
    sizes = [(60.0 + 10 * (i % 4), 30.0 + 8 * (i % 3)) for i in range(len(graph.nodes))]
    found = layered(sizes, graph.edges)
    boxes = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for (x, y), (w, h) in zip(found.centres, sizes, strict=True)]
    assert min(left for left, *_ in boxes) == pytest.approx(0.0, abs=GAP)
    for one, other in combinations(boxes, 2):
        apart_across = one[2] + GAP <= other[0] + 1e-3 or other[2] + GAP <= one[0] + 1e-3
        assert apart_across or one[3] < other[1] or other[3] < one[1]
    for (start, end), route in zip(graph.edges, found.routes, strict=True):
        assert boxes[start][0] < route[0][0] < boxes[start][2]
        assert boxes[end][0] < route[-1][0] < boxes[end][2]
        assert [y for _, y in route] == sorted(y for _, y in route)
        for (x, y), (to_x, to_y) in pairwise(route):  # an arrow bends only where it is beside no box
            for left, top, right, bottom in boxes:
                assert bottom <= y + 1e-6 or to_y <= top + 1e-6 or (x == to_x and not left < x < right)


def test_lines_are_uncrossed_and_the_main_one_is_straight():
    crossed = layered([(10, 10)] * 4, [(0, 3), (1, 2)])
    (a, b), (c, d) = [[x for x, _ in (route[0], route[-1])] for route in crossed.routes]
    assert (a - c) * (b - d) > 0
    skip = layered([(10, 10), (90, 10), (30, 10), (10, 10)], [(0, 1), (1, 2), (0, 3), (2, 3)])
    assert len({round(x, 6) for x, _ in skip.centres}) == 1
    assert len({round(x, 6) for x, _ in skip.routes[2][1:-1]}) == 1


def test_files_by_the_paths_ending(tmp_path):
    a = Parameter(2.0, "a")
    assert draw(a * a, tmp_path / "one.png") == [tmp_path / "one.png"]
    both = [tmp_path / "new" / "both.png", tmp_path / "new" / "both.svg"]
    assert draw_network(nn.Linear(2, 1, rng=0), [[1.0, 2.0]], path=str(tmp_path / "new" / "both")) == both
    assert both[0].read_bytes().startswith(b"\x89PNG")
    assert b"</svg>" in both[1].read_bytes()
    assert sorted(p.name for p in tmp_path.rglob("*.*")) == ["both.png", "both.svg", "one.png"]
    draw(a * a, tmp_path / "again.svg")
    first = (tmp_path / "again.svg").read_bytes()
    draw(a * a, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_bytes() == first


def test_without_a_path_a_notebook_shows_the_figure():
    a = Parameter(2.0, "$\\a$")  # drawn as it is: as a formula of TeX it would be an error
    figure = draw(a * a)
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == [
        "$\\a$", "value 2", "$\\a$ * $\\a$", "value 4",
    ]  # fmt: skip


def test_a_large_graph_says_what_it_leaves_out():
    x = Parameter(1.0, "x")
    for _ in range(99):
        x = x.sin()
    assert draw(x).axes[0].texts[0].get_text() == "the 40 nodes nearest to the result, of 100"


def test_mistakes_are_told_in_one_line(tmp_path):
    with pytest.raises(
        ValueError, match=r"^draw: .*graph\.pdf: expected a path that ends in \.png or \.svg, or with.*$"
    ):
        draw(Parameter(1.0), tmp_path / "graph.pdf")
    with pytest.raises(ValueError, match=r"graph\.jpg"):
        draw_network(nn.Linear(2, 1, rng=0), [[1.0, 2.0]], path=tmp_path / "graph.jpg")
    with pytest.raises(TypeError, match="draw: expected a Tensor, got a Linear; for a network there is draw_network"):
        draw(nn.Linear(2, 1, rng=0))
    assert list(tmp_path.iterdir()) == []
