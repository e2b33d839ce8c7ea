"""Malformed or malicious configs are rejected in one line: none of their code runs, nothing is written."""

import tracemalloc

import pytest

MEGABYTE = "x" * 2**20
DEEP = "[" * 400 + "]" * 400


@pytest.mark.parametrize(
    "arguments",
    [
        ["+_target_=os.system"],
        ["+network._target_=os.system"],
        ["network={_target_:os.system,command:touch_here}"],
        ["network._target_=builtins.exec"],
        ["data=../../../etc/passwd"],
        ["network=../optimizer/adam"],
        ["+../../x=1"],
        ["experiments=../../../../tmp/evil"],
        ["optimizer=/etc/passwd"],
        ["data=csv", "data.path=../../../../etc/shadow", "data.target=x"],
        ["data=npz", "data.path=/dev/zero"],
        ["network.init_file=/dev/zero"],
        ["network.init_file=/etc/passwd"],
        ["lr=nan"],
        ["lr=inf"],
        ["lr=-inf"],
        ["lr=1e999"],
        ["lr=[0.1,0.2]"],
        ["lr={a:1}"],
        ["lr=true"],
        ["lr=null"],
        ["seed=-1"],
        ["steps=1e300"],
        ["steps=0"],
        ["batch_size=1e18"],
        ["network.widths=[1000000000,1000000000]"],
        ["network.widths=[[[1]]]"],
        [f"network.widths={DEEP}"],
        [f"activation={MEGABYTE}"],
        [f"{MEGABYTE}=1"],
        ["activation=rélu☃"],
        ["activation='\u202eulER'"],
        ["activation=__import__('os')"],
        ["activation=${oc.env:HOME}"],
        ["lr=${lr}"],
        ["lr=${a.b.c}"],
        ["extensions=[os;system]"],
        ["extensions=[../evil]"],
        ["loss=output;rm"],
        ["network=sequential", "network.layers=[{linear:64,evil:1}]"],
        ["network=sequential", "network.layers=[{_target_:os.system}]"],
        ["monitor=__class__"],
        ["dtype=object"],
        ["engine=../../x"],
    ],
    ids=lambda arguments: " ".join(arguments)[:40],
)
@pytest.mark.parametrize("sweep", [[], ["-m"]], ids=["run", "sweep"])
def test_malicious_config_is_rejected_and_nothing_is_written(command, tmp_path, sweep, arguments):
    status, _, err = command(*sweep, *arguments)
    assert status == 2, (status, err)
    assert len(err.splitlines()) == 1
    assert len(err) < 2000
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("override", ["network.widths=[1000000000,1000000000]", "network.init_file=/dev/zero"])
def test_config_that_exceeds_the_memory_is_rejected_before_it_is_allocated(command, override):
    tracemalloc.start()
    status, _, _ = command(override)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert status == 2
    assert peak < 2**28
