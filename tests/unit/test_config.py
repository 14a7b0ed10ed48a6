"""gateway.yaml: every mistake is found, all at once, with file:line:column, before any process is started."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from gateway.cli import main
from gateway.config import load_config, make_plan
from gateway.control.config import ControlConfig, config_checksum
from gateway.core.errors import ConfigError, GatewayError, Problem
from gateway.yaml_source import read_yaml
from tests.unit.opcua.test_nodeset_file import text as node_set

REPO = Path(__file__).resolve().parents[2]
MODEL = REPO / "models" / "demo_surface"
CHANNELS = read_yaml(MODEL / "1" / "manifest.yaml").data["input"]["channels"]

TEXT = f"""\
data: data
lines:
  - name: Press
    plc: {REPO}/plc_maps/demo_s7.yaml
    model: {MODEL}
    cameras:
      - {{kind: simulated, name: top, port: 5001, channels: {CHANNELS}, offset: 500}}
    bind: {{by: encoder, window: 300}}
    rate: {{parts_per_s: 20}}
    adjust:
      - {{tag: PressForce, step: 2, baseline: {{parts: 400, defects: 8}}}}
  - name: Molding
    plc: {REPO}/plc_maps/demo_modbus.yaml
    model: {MODEL}/1
    cameras:
      - kind: folder
        name: top
        path: pictures
        channels: {CHANNELS}
    bind: {{by: encoder, window: 300}}
    rate: {{parts_per_s: 20}}
opcua: {{port: 0}}
"""


def file_with(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    return file


def problems(tmp_path: Path, text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load_config(file_with(tmp_path, text))
    return list(caught.value.problems)


def change(old: str, new: str, text: str = TEXT) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_a_good_file_with_paths_relative_to_it(tmp_path: Path) -> None:
    config = load_config(file_with(tmp_path, TEXT))
    assert config.data == tmp_path / "data"
    assert [line.name for line in config.lines] == ["Press", "Molding"]
    [camera] = config.lines[1].cameras
    assert camera.kind == "folder"
    assert camera.path == tmp_path / "pictures"
    assert config.lines[0].gate_deadline_ms == 150


#: What stands in the file, what stands there instead, what the line that is pointed at holds, the path, the message.
MISTAKES = [
    # keys and values
    ("data: data", "data: data\ndatta: x", "datta", "datta", "unknown key 'datta', did you mean 'data'?"),
    ("data: data", "data: data\nxyzzy: x", "xyzzy", "xyzzy", "unknown key; correct its spelling or remove it"),
    ("port: 5001", "port: 5001, hosst: x", "hosst", "lines.0.cameras.0.hosst", "unknown key 'hosst', did you mean 'host'?"),
    ("data: data", "data: /dev/null/x", "/dev/null/x", "data", "cannot be made: /dev/null is a file; make the folder"),
    ("data: data", "data: /proc/nothing", "/proc", "data", "cannot be made: /proc takes no folder: No such file or directory"),
    ("data: data\n", "", "lines:", "data", "is missing; add it"),
    (
        "rate: {parts_per_s: 20}",
        "rate: {parts_per_s: 20, parts_per_sec: 20}",
        "parts_per_sec",
        "lines.0.rate.parts_per_sec",
        "unknown key",
    ),
    ("window: 300", "window: 0", "window: 0", "lines.0.bind.window", "greater than 0"),
    ("name: Press", "name: Press 1", "Press 1", "lines.0.name", "String should match pattern"),
    (
        "name: Press",
        "name: Press\n    gate_deadline_ms: 1",
        "gate_deadline_ms",
        "lines.0.gate_deadline_ms",
        "greater than or equal to 10",
    ),
    ("opcua: {port: 0}", "opcua: {port: 70000}", "70000", "opcua.port", "less than or equal to 65535"),
    # cameras
    ("kind: simulated", "kind: webcam", "webcam", "lines.0.cameras.0.kind", "any of the expected tags"),
    ("kind: simulated, ", "", "port: 5001", "lines.0.cameras.0.kind", "is missing; add it"),
    ("port: 5001", "port: 5001, prot: 5001", "prot", "lines.0.cameras.0.prot", "unknown key"),
    (
        f"channels: {CHANNELS}, offset",
        f"channels: {4 - CHANNELS}, offset",
        "5001",
        "lines.0.cameras.0.channels",
        f"the camera gives {4 - CHANNELS} channel(s), the model demo_surface/1 wants {CHANNELS}",
    ),
    # rates and windows
    (
        "parts_per_s: 20",
        "parts_per_s: 195",
        "parts_per_s",
        "lines.0.rate",
        "8 ring slots at 195 parts/s last 41 ms, less than three times",
    ),
    ("by: encoder, window: 300", "by: time, window: 300", "by: time", "lines.0.bind", "a window of 300 ms must be at least"),
    # names
    ("name: Molding", "name: Press", "- name: Press", "lines", "the name 'Press' is used twice"),
    # the tag map's parameters
    (
        "tag: PressForce",
        "tag: PressFroce",
        "PressFroce",
        "lines.0.adjust.0.tag",
        "PressFroce is no parameter (role: param) of demo_s7.yaml; it has: PressForce",
    ),
    ("tag: PressForce", "tag: LineSpeed", "LineSpeed", "lines.0.adjust.0.tag", "LineSpeed is no parameter"),
    ("step: 2", "step: -5", "step: -5", "lines.0.adjust.0.step", "a step of -5 exceeds the map's limit of 4 for PressForce"),
    ("step: 2", "step: 0", "step: 0", "lines.0.adjust.0.step", "a step of 0 moves nothing"),
    # files that are not there
    (
        f"model: {MODEL}\n",
        "model: models/none\n",
        "models/none",
        "lines.0.model",
        "there is no such model package; train one with",
    ),
    ("data: data", "data: gateway.yaml", "data: gateway.yaml", "data", "is a file; name a folder"),
]


@pytest.mark.parametrize(("old", "new", "marker", "path", "message"), MISTAKES, ids=[m[1][:40] for m in MISTAKES])
def test_one_mistake_is_one_problem_where_it_was_made(
    tmp_path: Path, old: str, new: str, marker: str, path: str, message: str
) -> None:
    text = change(old, new)
    [problem] = problems(tmp_path, text)
    assert message in problem.message
    assert problem.path == path
    assert marker in text.splitlines()[problem.line - 1]
    assert str(problem).startswith(f"{tmp_path}/gateway.yaml:{problem.line}:{problem.column}: {path}: ")


RECIPES = f"""\
    recipes:
      - {{number: 1, name: surface, model: {MODEL}, golden: golden, params: {{PressForce: 100}}}}
      - {{number: 2, name: other, model: {MODEL}/1}}
    bind"""


def recipes(tmp_path: Path, old: str, new: str) -> list[tuple[str, str]]:
    """Return path and message of each problem of the first line's recipes with one change; the golden folder is there."""
    (tmp_path / "golden" / "good").mkdir(parents=True)
    (tmp_path / "golden" / "good" / "1.png").write_bytes(next((MODEL / "1" / "golden").iterdir()).read_bytes())
    return [(p.path, p.message) for p in problems(tmp_path, change("    bind", change(old, new, RECIPES)))]


def test_recipes_have_paths_relative_to_the_file_and_reach_control_and_services(tmp_path: Path) -> None:
    (tmp_path / "golden" / "good").mkdir(parents=True)
    (tmp_path / "golden" / "good" / "1.png").write_bytes(b"config check does not judge")
    config = load_config(file_with(tmp_path, change("    bind", RECIPES)))
    assert config.lines[0].recipes[0].golden == tmp_path / "golden"
    plan = make_plan(config, tmp_path)
    control = json.loads(plan.controls[0][1])["line"]
    assert [r["number"] for r in control["recipes"]] == [1, 2]
    told = json.loads(plan.services)["lines"][0]["recipes"]
    assert told == [{"number": r["number"], "name": r["name"], "model_id": "demo_surface/1"} for r in control["recipes"]]
    assert control["recipe_authority"] == "plc"
    assert set(json.loads(plan.services)["lines"][0]["recipe_baselines"]) == {"demo_surface/1"}


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        (f"model: {MODEL}/1", "model: none", "recipes.1.model", "there is no such model package"),
        ("golden: golden", "golden: none", "recipes.0.golden", "there is no such folder"),
        ("golden: golden", "golden: golden/good", "recipes.0.golden", "its pictures lie in no class"),
        ("PressForce: 100", "PressForce: 200", "recipes.0.params.PressForce", "200 is outside 80 … 120 kN, the map's range"),
        (
            "PressForce: 100",
            "Speed: 1",
            "recipes.0.params.Speed",
            "is no parameter (role: param) of the tag map; it has: PressForce",
        ),
        (f"model: {MODEL}, g", f"model: {MODEL}/1, g", "model", "is the model of no recipe"),
    ],
)
def test_one_mistake_in_a_recipe(tmp_path: Path, old: str, new: str, path: str, message: str) -> None:
    [(where, said)] = recipes(tmp_path, old, new)
    assert where == f"lines.0.{path}"
    assert message in said


def test_a_golden_folder_without_a_picture_or_with_a_class_that_the_model_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    [(where, said)] = recipes(tmp_path, "golden: golden", "golden: empty")
    assert (where, said.split(": ")[-1]) == (
        "lines.0.recipes.0.golden",
        "is empty; make a sub-folder a class and put each class's pictures into it",
    )
    (tmp_path / "golden" / "good").rename(tmp_path / "golden" / "fine")
    [problem] = problems(tmp_path, change("    bind", RECIPES))
    assert "golden: fine: no class of the model demo_surface/1, which knows: crack, dent, good" in problem.message


def test_every_recipes_package_must_fit_the_cameras(tmp_path: Path) -> None:
    camera = f"channels: {CHANNELS}, offset"
    text = change(
        camera, camera.replace(str(CHANNELS), str(4 - CHANNELS)), change("    bind", RECIPES.replace("golden: golden, ", ""))
    )
    assert [p.path for p in problems(tmp_path, text)] == [
        "lines.0.cameras.0.channels",
        "lines.0.recipes.0.model",
        "lines.0.recipes.1.model",
    ]


def test_numbers_and_names_of_recipes_are_given_once(tmp_path: Path) -> None:
    assert recipes(tmp_path, "number: 2, name: other", "number: 1, name: surface") == [
        ("lines.0.recipes.0.number", "the number 1 is given twice, and the PLC names a recipe by it; change one"),
        ("lines.0.recipes.0.name", "the name 'surface' is given twice, and records name a recipe by it; change one"),
        ("lines.0.recipes.1.number", "the number 1 is given twice, and the PLC names a recipe by it; change one"),
        ("lines.0.recipes.1.name", "the name 'surface' is given twice, and records name a recipe by it; change one"),
    ]


def test_two_cameras_of_one_name_on_a_line(tmp_path: Path) -> None:
    second = f"      - {{kind: simulated, name: top, port: 5002, channels: {CHANNELS}}}\n    bind"
    [problem] = problems(tmp_path, change("    bind", second))
    assert problem.path == "lines.0.cameras"
    assert "the name 'top' is used twice" in problem.message


def test_two_rules_for_one_parameter(tmp_path: Path) -> None:
    rule = "      - {tag: PressForce, step: 2, baseline: {parts: 400, defects: 8}}\n"
    found = problems(tmp_path, change(rule, rule + rule))
    assert [p.path for p in found] == ["lines.0.adjust.0.tag", "lines.0.adjust.1.tag"]
    assert "two rules move PressForce" in found[0].message


def test_two_lines_on_one_pair_of_blocks(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, change("demo_modbus.yaml", "demo_s7.yaml"))
    assert (problem.path, problem.message) == (
        "lines.1.plc",
        "DB_VisionUp of this PLC belongs to line Press; a block serves one line",
    )


def test_the_classic_exchange_is_for_slow_lines(tmp_path: Path) -> None:
    acked = tmp_path / "ack.yaml"
    acked.write_text((REPO / "plc_maps" / "demo_s7.yaml").read_text().replace("handshake: ring", "handshake: ack"))
    text = TEXT.replace(f"{REPO}/plc_maps/demo_s7.yaml", str(acked))
    [problem] = problems(tmp_path, text)
    assert problem.path == "lines.0.rate.parts_per_s"
    assert problem.message == "20 parts/s: ack.yaml says handshake: ack, which serves at most 15 parts/s; use ring"
    load_config(file_with(tmp_path, change("parts_per_s: 20", "parts_per_s: 15", text)))


def test_services_show_the_numbers_of_further_blocks_and_no_texts(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    block = "  - db: 110\n    name: Oven\n    dir: plc->gw\n    tags:\n"
    block += "      - {name: Zone, type: 'Array[1..2] of Int'}\n      - {name: Program, type: 'String[8]'}\n"
    more.write_text((REPO / "plc_maps" / "demo_s7.yaml").read_text() + block)
    config = load_config(file_with(tmp_path, TEXT.replace(f"{REPO}/plc_maps/demo_s7.yaml", str(more))))
    services = json.loads(make_plan(config, tmp_path).services)
    assert services["lines"][0]["process_tags"] == ["LineSpeed", "ToolWear", "Zone[1]", "Zone[2]"]


def test_a_wrong_tag_map_is_reported_in_its_own_file_once(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((REPO / "plc_maps" / "demo_s7.yaml").read_text().replace("step: 4", "step: 41"))
    text = TEXT.replace(f"{REPO}/plc_maps/demo_s7.yaml", "bad.yaml").replace(f"{REPO}/plc_maps/demo_modbus.yaml", "bad.yaml")
    [problem] = problems(tmp_path, text)
    assert problem.file == str(bad)
    assert (problem.line, problem.path) == (31, "blocks.0.tags.15.step")


def test_an_absent_tag_map(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, change(f"{REPO}/plc_maps/demo_s7.yaml", "none.yaml"))
    assert str(problem).endswith(f"lines.0.plc: {tmp_path}/none.yaml: there is no such file")
    assert str(problem).startswith(f"{tmp_path}/gateway.yaml:4:10: ")


def test_a_model_whose_files_were_altered(tmp_path: Path) -> None:
    copy = tmp_path / "models" / "demo_surface"
    shutil.copytree(MODEL, copy)
    with (copy / "1" / "model.bin").open("r+b") as f:
        f.write(b"\xff\xff\xff\xff")
    [problem] = problems(tmp_path, change(f"model: {MODEL}\n", "model: models/demo_surface\n"))
    assert problem.path == "lines.0.model"
    assert "model.bin: is not the file that was packed (sha256" in problem.message


def test_errors_of_both_lines_accumulate(tmp_path: Path) -> None:
    text = change("tag: PressForce", "tag: PressFroce", change(f"model: {MODEL}/1", "model: models/none"))
    text = change(f"channels: {CHANNELS}, offset", f"channels: {4 - CHANNELS}, offset", text)
    assert [p.path for p in problems(tmp_path, text)] == ["lines.0.cameras.0.channels", "lines.0.adjust.0.tag", "lines.1.model"]


def test_keys_of_all_sections_accumulate_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = TEXT.replace("window: 300", "window: -1").replace("port: 0", "prot: 0").replace("data: data", "data: 5")
    found = problems(tmp_path, text)
    assert [p.path for p in found] == ["data", "lines.0.bind.window", "lines.1.bind.window", "opcua.prot"]


# -- what each process gets -----------------------------------------------------------------------------------------------


def test_the_plan(tmp_path: Path) -> None:
    plan = make_plan(load_config(file_with(tmp_path, TEXT)), tmp_path)
    assert [name for name, _ in plan.controls] == ["Press", "Molding"]
    assert [name for name, _ in plan.captures] == ["Press.top", "Molding.top"]
    control, capture, services = json.loads(plan.controls[0][1]), json.loads(plan.captures[0][1]), json.loads(plan.services)
    assert "adjust" not in control["line"]
    assert capture["control_socket"] == control["frames_socket"]
    assert capture["own_socket"] == control["capture_sockets"]["top"]
    assert capture["ring"] == control["rings"]["top"] == services["lines"][0]["rings"]["top"]
    assert services["lines"][0]["records_socket"] == control["records_socket"]
    assert services["lines"][0]["commands_socket"] == control["commands_socket"]
    assert services["lines"][0]["journal"] == control["journal"] == str(tmp_path / "data" / "Press" / "journal.db")
    force = {"name": "PressForce", "unit": "kN", "range": [80.0, 120.0], "step": 4.0, "rate_per_min": 6.0}
    assert services["lines"][0]["params"] == [force]
    assert services["lines"][0]["process_tags"] == ["LineSpeed", "ToolWear"]
    assert services["lines"][0]["model_id"] == "demo_surface/1"
    as_control_reads_it = ControlConfig.model_validate_json(plan.controls[0][1]).line
    assert services["lines"][0]["config_checksum"] == config_checksum(as_control_reads_it), "both are shown to people"
    sockets = [control[k] for k in ("records_socket", "commands_socket", "frames_socket")]
    private = [*sockets, *(c[k] for _, text in plan.captures for c in [json.loads(text)] for k in ("ring", "own_socket"))]
    assert len(set(private)) == 7
    assert {Path(p).parent for p in private} == {tmp_path}, "all that the sweep has to remove"
    assert (tmp_path / "data" / "Press").is_dir()


def test_a_folder_too_deep_for_sockets(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="too long for a socket; shorten the names"):
        make_plan(load_config(file_with(tmp_path, TEXT)), tmp_path / ("x" * 100))


# -- gateway config -----------------------------------------------------------------------------------------------------------


def test_config_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_with(tmp_path, TEXT)
    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: ok, 2 line(s): Press, Molding\n"
    file_with(tmp_path, change("step: 2", "step: -5"))
    assert main(["config", "check", str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"{file}:11:")
    assert not (tmp_path / "data").exists(), "a check makes nothing"


def test_config_check_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_with(tmp_path, TEXT)
    assert main(["config", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "lines": ["Press", "Molding"]}
    file_with(tmp_path, change("step: 2", "step: -5"))
    assert main(["config", "check", str(file), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], len(answer["errors"])) == (False, 1)
    assert "lines.0.adjust.0.step" in answer["errors"][0]


def test_run_of_a_wrong_file_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(file_with(tmp_path, "lines: []\n"))]) == 2
    assert "data: is missing; add it" in capsys.readouterr().err


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """A process that runs sets up its logging for good; here it must not outlive the test's own stderr."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("logging_as_before")
def test_run_with_a_data_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    assert main(["run", str(file_with(tmp_path, change("data: data", "data: taken/data")))]) == 2
    assert "taken is a file; make the folder, or name another" in capsys.readouterr().err


def test_node_sets_are_checked_where_they_are_named_and_in_themselves(tmp_path: Path) -> None:
    (tmp_path / "good.xml").write_text(node_set())
    named = "opcua: {port: 0, nodesets: [good.xml, none.xml, bad.xml]}"
    (tmp_path / "bad.xml").write_text("<!DOCTYPE x><x/>")
    missing, bad = problems(tmp_path, change("opcua: {port: 0}", named))
    assert (missing.file, missing.path) == (str(tmp_path / "gateway.yaml"), "opcua.nodesets.1")
    assert "none.xml: cannot be read: No such file" in missing.message
    assert (bad.file, bad.line) == (str(tmp_path / "bad.xml"), 1)
    assert "document type declaration" in bad.message
    (tmp_path / "bad.xml").write_text(node_set("urn:other"))
    (tmp_path / "none.xml").write_text(node_set("urn:third", needs="urn:other"))
    config = load_config(file_with(tmp_path, change("opcua: {port: 0}", named)))
    assert config.opcua.nodesets == [tmp_path / name for name in ("good.xml", "none.xml", "bad.xml")]
    (tmp_path / "pictures").mkdir()
    told = json.loads(make_plan(config, tmp_path).services)["opcua"]["nodesets"]
    assert told == [str(path) for path in config.opcua.nodesets]
