"""The documents tell the truth about the code, as far as a program can compare them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from processing import protocol, report
from processing.mcaq import summary
from processing.mcaq.series import (
    LayerRatio,
    ModelFlow,
    SegmentFlow,
    Series,
    SeriesResult,
    StudyResult,
)
from studies.dicom.frames import frames_of
from studies.dicom.sort import sort_frames
from studies.intended_use import INTENDED_USE
from tests.conftest import CHECKOUT
from tests.dicom.make import film

NOT_OURS = {".venv", "node_modules", "var", ".git"}
DOCUMENTS = sorted(
    path.relative_to(CHECKOUT).as_posix()
    for path in CHECKOUT.rglob("*.md")
    if not NOT_OURS & set(path.relative_to(CHECKOUT).parts)
)
#: The contract of report.json: other programs read these keys.
CONTRACT = {
    "": "format engine parameters seconds peak_memory_bytes series aif_series reserve unused",
    "engine": "name version",
    "unused": "file reason",
    "series": "folder state level series_uid sop_instance_uids frame_times_s time_source frames"
    " offset mbf quality seconds",
    "series.frames": "sop_instance_uid frame_number time_s role used reason",
    "series.mbf": "global segments",
    "series.mbf.segments": "mbf low high ischaemic",
    "series.quality": "flag severity sentence",
}
#: Keys that were added to it, and that README.md names.
ADDED = {
    "intended_use", "serves", "light", "colour", "motion", "displacement_mm", "folds", "roughness",
    "before", "after", "overlap", "stages", "input_sha256",
    "clock", "longest_interval_s", "median_interval_s", "gaps", "missed", "given", "of_files",
    "protocol", "protocol_version", "summary", "ischaemic_burden", "uniformly_low",
    "splenic_switch_off", "model_reserve",
    "endo_epi", "ratio", "models", "unit", "spread", "--models", "upslope",
    "mbf_unit", "scanner_maps", "of", "scanner_map", "pixels", "mean", "mean_difference",
    "dicom", "kind", "files", "sop_class_uid",
}  # fmt: skip
OUTPUT_FILES = {
    "mbf.npy", "segmentation.npy", "aha.npy", "corrected.npy", "displacement.npy", "aif.csv",
    "mbf.png", "cine.mp4", "motion.png", "strip.png",
}  # fmt: skip
#: By the kind that the report gives them; tests/processing/test_objects.py finds them there.
OBJECT_FILES = {
    "corrected": "<state>_<level>/corrected/0001.dcm",
    "mbf": "<state>_<level>/mbf.dcm",
    "mbf_x100": "<state>_<level>/mbf_x100.dcm",
    "mbf_colour": "<state>_<level>/mbf_colour.dcm",
    "segmentation": "<state>_<level>/segmentation.dcm",
    "measurements": "measurements.dcm",
}


def text_of(name: str) -> str:
    return (CHECKOUT / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """The text below a heading, up to the next one of the same depth."""
    depth = heading.split(" ")[0]
    found = re.search(
        rf"^{re.escape(heading)}$(.*?)(?=^{depth} |\Z)", text_of(name), re.MULTILINE | re.DOTALL
    )
    assert found, f"{name} has no section {heading}"
    return found[1]


def rows(text: str) -> dict[str, list[str]]:
    """Rows of the tables whose first cell holds names in backticks, by name."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for name in re.findall(r"`([^`]+)`", cells[0]):
                found[name] = cells[1:]
    return found


# --- variables ---------------------------------------------------------------------------------

READERS = {"text", "number", "flag", "words", "one_of", "_secret", "get", "getenv"}


def variables(*patterns: str) -> dict[str, ast.expr | None]:
    """Environment variables that the sources read, with the default that stands beside the name."""
    found: dict[str, ast.expr | None] = {}
    for pattern in patterns:
        for path in sorted(CHECKOUT.glob(pattern)):
            for name, default in _read_in(ast.parse(path.read_text(encoding="utf-8"))):
                found[name] = found.get(name) or default
    return found


def _read_in(tree: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    for node in ast.walk(tree):
        name: ast.expr | None = None
        default: ast.expr | None = None
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else called
            if called in READERS or (
                called == "setdefault" and ast.unparse(node.func) == "os.environ.setdefault"
            ):
                name = node.args[0]
                default = node.args[1] if len(node.args) > 1 else None
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            name = node.slice if isinstance(node.ctx, ast.Load) else None
        if isinstance(name, ast.Constant) and re.fullmatch(r"[A-Z][A-Z0-9_]+", str(name.value)):
            yield str(name.value), default


def test_every_variable_of_the_settings_is_in_the_table_and_no_other():
    told = rows(section("docs/configuration.md", "## Variables of the settings"))
    read = variables("corecmr/settings/*.py", "corecmr/env.py")
    assert {name for name in told if name.isupper()} == set(read)


def test_defaults_in_the_table_are_those_of_the_code():
    told = rows(section("docs/configuration.md", "## Variables of the settings"))
    compared = 0
    for name, default in variables("corecmr/settings/*.py").items():
        if isinstance(default, ast.Constant):
            value = default.value
            word = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
            assert told[name][0] in ({word} if word else {"empty", "must be set"}), name
            compared += 1
    assert compared > 10


def test_every_variable_of_the_commands_is_in_the_table_and_no_other():
    told = rows(section("docs/configuration.md", "## Variables of the commands"))
    read = variables(
        "scripts/**/*.py", "manage.py", "corecmr/wsgi.py", "tests/conftest.py",
        "processing/**/*.py", "studies/**/*.py", "accounts/**/*.py",
    )  # fmt: skip
    assert set(told) == set(read) - {"PATH"}


def test_the_reading_of_variables_sees_each_way():
    tree = ast.parse(
        "a = env.number('ONE', 3)\nb = os.environ['TWO']\nc = os.environ.get('THREE') or 1\n"
        "d = _secret('FOUR')\nos.environ['FIVE'] = 'x'\ne = request.GET.get('page')\n"
        "os.environ.setdefault('SIX', 'y')\nf = {}.setdefault('SEVEN', 1)"
    )
    assert [name for name, _ in _read_in(tree)] == ["ONE", "TWO", "FOUR", "SIX", "THREE"]


# --- links, pictures, paths --------------------------------------------------------------------


def links(text: str) -> set[str]:
    plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", plain) + re.findall(r'(?:src|href)="([^"]+)"', plain)
    return {link for link in found if not re.match(r"[a-z]+:", link)}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_relative_links_lead_somewhere(name):
    for link in links(text_of(name)):
        target, _, anchor = link.partition("#")
        path = ((CHECKOUT / name).parent / target).resolve() if target else CHECKOUT / name
        assert path.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def test_pictures_are_small_and_all_used():
    shown = {
        Path(link).name for name in DOCUMENTS for link in links(text_of(name)) if "images/" in link
    }
    pictures = list((CHECKOUT / "docs" / "images").iterdir())
    assert {path.name for path in pictures} == shown
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size < 250_000, path.name


@pytest.mark.parametrize("name", [*DOCUMENTS, "LICENSE"])
def test_no_document_knows_a_machine_or_a_registry(name):
    text = text_of(name)
    assert not re.search(r"(?<![\w.:/-])/(?:work|root|home|Users|tmp|mnt|builds)/", text)
    assert not re.search(r"pypi\.org|pythonhosted|npmjs\.|--index-url|--registry", text)


def test_the_documents_are_there():
    assert {
        "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/architecture.md",
        "docs/configuration.md", "docs/validation.md",
    } <= set(DOCUMENTS)  # fmt: skip
    assert "Apache License" in text_of("LICENSE")
    assert "limitations under the License." in text_of("LICENSE")


def test_the_intended_use_is_quoted_as_it_stands():
    for name in ("README.md", "docs/validation.md"):
        assert INTENDED_USE in text_of(name)


# --- commands ----------------------------------------------------------------------------------


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    # One rule serves every drill.
    drills = (path.name.split("_")[0] for path in (CHECKOUT / "scripts/drill").glob("[a-z]*_*.py"))
    targets |= {f"drill-{name}" for name in drills}
    for name in DOCUMENTS:
        named = set(re.findall(r"`make ([a-z0-9-]+)", text_of(name)))
        assert named <= targets, name
    assert {"demo", "test", "demo-reset", "check", "dev", "lock"} <= set(
        re.findall(r"`make ([a-z0-9-]+)", text_of("README.md"))
    )


def test_every_test_and_module_in_a_command_exists():
    for name in DOCUMENTS:
        text = text_of(name)
        for path in re.findall(r"\b(?:tests|scripts|processing|studies)/[\w/.-]+\.py\b", text):
            assert (CHECKOUT / path).exists(), (name, path)
        for module in re.findall(r"-m ((?:processing|scripts)\.[\w.]+)", text):
            assert (CHECKOUT / (module.replace(".", "/") + ".py")).exists(), (name, module)


def test_what_the_rooms_name_exists_in_its_room():
    rooms = section("docs/architecture.md", "## The rooms")
    room, seen = CHECKOUT, 0
    for line in rooms.split("```")[1].splitlines():
        if found := re.match(r"(\w+)/", line):
            room = CHECKOUT / found[1]
            assert room.is_dir(), line
        for name in re.findall(r"[\w/]*\w+\.py\b|\w+(?:/\w+)*/(?= )", line):
            assert (CHECKOUT / name).exists() or (room / name).exists(), (room.name, name)
            seen += 1
    assert seen > 50


# --- the contract of analyse -------------------------------------------------------------------

T, SIDE = 12, 16


@pytest.fixture(scope="module")
def content() -> dict:
    """What report.py makes of a small result, with an input series and every part filled."""
    files = {str(n): ds for n, ds in enumerate(film(T))}
    found = sort_frames(f for name, ds in files.items() for f in frames_of(ds, name)).series[0]
    series = Series(
        "stress_mid", np.ones((T, SIDE, SIDE), np.float32), np.array(found.times_s),
        ("dynamic",) * T, "stress", "mid", (2.0, 2.0),
    )  # fmt: skip
    labels = np.ones((SIDE, SIDE), np.uint8)
    result = SeriesResult(
        "stress_mid", (0, 0), series.signal, np.zeros((T, 2, SIDE, SIDE)), labels, 7 * labels,
        np.ones((SIDE, SIDE)), np.ones(T), np.ones(T, bool), (None,) * T, 1.0,
        {7: SegmentFlow(1.0, 0.5, 1.5, False)},
        (), 0.1, models={"fermi": ModelFlow("ml/min/g", {7: 1.1}, 1.1)}, spread={7: 0.1},
        endo_epi={7: LayerRatio(0.9)},
    )  # fmt: skip
    entry = report.series_entry(found, series, result, [report.Flag("name", "info", "It is so.")])
    return report.report(
        engine=("mcaq", "1"), result=StudyResult(
            (result,), (), {7: 2.0}, {}, {}, {"fermi": {7: 2.0}},
            summary.of_study([("stress", "mid", result.segments)], 1.94).content,
        ), protocol={},
        seconds={"total": 1.0}, peak_memory_bytes=1, series=[entry],
        aif_series=[report.aif_entry(found, ["stress_mid"])], unused=[("a.dcm", "It is empty.")],
    )  # fmt: skip


def at(content: object, place: str) -> dict:
    """The object at a place such as "series.frames": of a list or of segments, the first one."""
    for step in filter(None, place.split(".")):
        assert isinstance(content, dict)
        content = content[step]
        if isinstance(content, list):
            content = content[0]
        elif step == "segments":
            content = next(iter(content.values()))
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("place", CONTRACT)
def test_the_report_holds_every_key_of_the_contract(content, place):
    assert set(CONTRACT[place].split()) <= set(at(content, place))


def test_the_readme_names_the_contract_and_nothing_else():
    part = section("README.md", "## Without the web")
    told = part[part.index("| in `report.json`") : part.index("| in the folder")]
    words = {word for cell in re.findall(r"`([^`]+)`", told) for word in cell.split()}
    contract = {key for keys in CONTRACT.values() for key in keys.split()}
    assert words - {"report.json"} <= contract | ADDED
    spelt_out = {"name", "version"}  # of the engine, told in words
    assert contract - spelt_out <= words


def test_keys_beyond_the_contract_are_in_the_report_too(content):
    assert set(content) >= {"intended_use", "light", "summary", "model_reserve"}
    assert set(content["light"]) == {"colour", "sentence"}
    assert set(content["summary"]) >= {"ischaemic_burden", "uniformly_low"}
    assert set(content["series"][0]) >= {
        "light", "motion", "clock", "endo_epi", "models", "spread",
    }  # fmt: skip
    assert set(content["series"][0]["clock"]) >= {
        "reason", "median_interval_s", "longest_interval_s", "gaps", "missed", "given", "of_files",
    }  # fmt: skip
    assert set(content["parameters"]) >= {"protocol"}
    assert set(content["series"][0]["models"]["fermi"]) >= {"unit", "segments", "global"}
    assert "ratio" in content["series"][0]["endo_epi"]["7"]
    assert set(content["aif_series"][0]) >= {"serves"}


def test_the_readme_names_every_file_of_a_series():
    part = section("README.md", "## Without the web")
    told = rows(part[part.index("| in the folder") :])
    assert set(told) >= OUTPUT_FILES


def test_the_readme_names_every_dicom_object():
    part = section("README.md", "## Without the web")
    told = rows(part[part.index("| in the folder `dicom/`") :])
    assert set(told) >= set(OBJECT_FILES.values())


def test_every_key_of_a_protocol_is_explained():
    told = rows(section("docs/configuration.md", "## Protocol of a sequence"))
    assert set(told) == {*protocol.KEYS, "aif"}
