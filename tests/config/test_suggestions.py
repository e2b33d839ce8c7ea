"""Unknown keys and names: what is suggested, and what is listed."""

from pathlib import Path

import pytest

from minitrain.config.schema import GROUPS, RunConfig
from minitrain.options import options
from minitrain.suggestions import SYNONYMS, closest, unknown_key


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optmizer=adam"], "optmizer=adam: unknown key; did you mean optimizer? valid keys: "),
        (["network.width=3"], "network.width=3: unknown key; did you mean network.widths? valid keys: network."),
        (["learning_rate=1"], "learning_rate=1: unknown key; set lr; valid keys: "),
        (["weight_decay=0.1"], "unknown key; set optimizer=adamw with optimizer.weight_decay, or l2; valid keys: "),
        (["dropout=0.1"], "unknown key; set network.dropout; valid keys: "),
        (["model=cnn"], "unknown key; set network; valid keys: "),
        (["dataset=iris"], "unknown key; set data; valid keys: "),
        (["batch=8"], "unknown key; set batch_size; valid keys: "),
        (["activation=rleu"], "activation=rleu: "),
        (["network=mpl"], "network=mpl: did you mean mlp? expected one of "),
        (["epochs=10"], "epochs=10: unknown key; set steps (an epoch has 22 steps); valid keys: "),
        (["epochs=10", "batch_size=32"], "set steps (an epoch has 44 steps)"),
        (["epochs=10", "batch_size=null"], "set steps (an epoch has 1 step)"),
        (["data=moons", "data.samples=100", "epochs=10", "batch_size=16"], "set steps (an epoch has 5 steps)"),
        (["epochs=10", "data=npz", "data.path=missing.npz"], "epochs=10: unknown key; set steps; valid keys: "),
        (["epochs=10", "batch_size=x"], "epochs=10: unknown key; set steps; valid keys: "),
        (["-m", "optmizer=sgd,adam"], "optmizer=sgd: unknown key; did you mean optimizer? valid keys: "),
    ],
)  # fmt: skip
def test_message_about_an_unknown_key_or_name(command, arguments, message):
    status, out, err = command(*arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(Path().iterdir()) == []


def test_the_unknown_key_is_named_also_beside_other_overrides(command):
    _, _, err = command("lr=0.1", "network.widths=[4]", "foo=1", "steps=5")
    assert err.startswith("minitrain: foo=1: unknown key; valid keys: ")


def test_synonyms_are_no_keys_and_lead_to_keys():
    keys = options(RunConfig).keys() | set(GROUPS)
    assert not SYNONYMS.keys() & keys
    for meaning in SYNONYMS.values():
        first = meaning.split()[0].partition("=")[0].partition(".")[0]
        assert first in keys or meaning.startswith("nothing: "), meaning


def test_a_key_like_no_other_has_no_suggestion():
    assert closest("xyzzy", ["lr", "steps"]) is None
    assert unknown_key("xyzzy", []) == "unknown key; valid keys: none"
