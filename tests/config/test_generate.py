"""conf/ is generated from the dataclasses of the components."""

import shutil

from minitrain.config import generate
from minitrain.paths import conf_directory


def test_conf_is_up_to_date(capsys):
    assert generate.main(["--check"]) == 0, capsys.readouterr().out


def test_check_names_files_that_differ_are_missing_or_have_no_component(tmp_path, monkeypatch, capsys):
    conf = tmp_path / "conf"
    shutil.copytree(conf_directory(), conf)
    monkeypatch.setattr(generate, "conf_directory", lambda: conf)
    (conf / "optimizer" / "sgd.yaml").write_text("name: sgd\n")
    (conf / "data" / "moons.yaml").unlink()
    (conf / "network" / "removed.yaml").write_text("name: removed\n")
    changed = {"optimizer/sgd.yaml", "data/moons.yaml", "network/removed.yaml"}

    assert generate.main(["--check"]) == 1
    assert set(capsys.readouterr().out.split()) == changed
    assert (conf / "network" / "removed.yaml").exists()  # --check writes nothing

    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    assert not (conf / "network" / "removed.yaml").exists()


def test_lines_fit_and_long_comments_continue_below():
    for path, text in generate.generated_files().items():
        entries = [line for line in text.splitlines() if "  # " in line]
        assert all(len(line) <= generate.LONGEST_LINE for line in entries if len(line.partition("  #")[0]) < 60), path
    assert "\n                             # leaky_relu, logsigmoid" in generate.config_file()
