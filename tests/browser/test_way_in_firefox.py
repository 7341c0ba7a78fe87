"""The consultant's journey once more, in Firefox.

It comes after the walk, by its file's name: nobody may have asked its colleague anything yet.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts import frontend
from tests.browser.people import FRAMES
from tests.browser.server import Site
from tests.browser.test_way_to_report import MOST_CLICKS
from tests.waiting import ANALYSIS_SECONDS

FIREFOX = Path("/usr/bin/firefox-esr")
HERE = Path(__file__).parent / "firefox"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journey's script beside the package that drives Firefox, which npm fetches."""
    if not FIREFOX.exists():
        pytest.skip("needs Debian package firefox-esr")
    folder = tmp_path_factory.mktemp("firefox")
    for name in ("package.json", "package-lock.json", "journey.mjs"):
        shutil.copy(HERE / name, folder)
    node = frontend.find_node()
    subprocess.run(
        [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder, check=True, env={**os.environ, **node.environment()},
    )  # fmt: skip
    return folder / "journey.mjs"


def test_from_a_folder_to_a_second_opinion_in_firefox(site: Site, driver: Path, tmp_path: Path):
    export = tmp_path / "export"
    phantom = make_study(12, frames=FRAMES, rows=112, cols=96, pixel_mm=2.8)
    write_study(phantom, export, patient_name="FIREFOX^FAY")
    asked = {
        "address": site.address,
        "firefox": str(FIREFOX),
        "files": [str(path) for path in sorted(export.rglob("*")) if path.is_file()],
        "patience_ms": 30_000,
        "analysis_ms": ANALYSIS_SECONDS * 1000,
        **{
            who: {name: getattr(site.people[who], name) for name in ("email", "password")}
            for who in ("consultant", "colleague")
        },
    }
    ended = subprocess.run(
        [frontend.find_node().node, driver], input=json.dumps(asked), text=True,
        capture_output=True, timeout=4 * ANALYSIS_SECONDS, check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    met = json.loads(ended.stdout)
    assert met["elsewhere"] == []
    assert met["complaints"] == []
    assert met["probe"]["coloured"] > 100
    assert met["steps"][-1] == "the answer is in the study"
    print(f"\n{met['clicks']} clicks in Firefox, from signing in to the question sent")
    assert met["clicks"] <= MOST_CLICKS
