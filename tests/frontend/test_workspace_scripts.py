"""The workspace numbers segments as the engine does, whichever way the heart lies."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from processing.mcaq import segmentation, segments
from processing.mcaq.series import GivenContours
from scripts import frontend
from tests.conftest import CHECKOUT
from tests.mcaq.scene import Scene

SCRIPT = Path(__file__).with_name("geometry.mjs")


@pytest.mark.parametrize("level", ["basal", "mid", "apical"])
@pytest.mark.parametrize(("direction", "septum"), [(170, 120), (20, 95), (260, -110)])
def test_segments_follow_the_engine(level, direction, septum):
    scene = Scene(rv_angle=np.radians(direction), septum=np.radians(abs(septum)), frames=24)
    drawn = scene.contours()
    points = [drawn.rv_insertion_anterior, drawn.rv_insertion_inferior]
    if septum < 0:  # seen from the base: the septum lies clockwise
        points.reverse()
    given = GivenContours(drawn.endocardium, drawn.epicardium, points[0], points[1])
    anatomy = segmentation.segment(
        scene.film(noise=4), scene.times_s, scene.centre, scene.rv_centre, scene.spacing_mm, given
    )
    wanted, _ = segments.aha_map(anatomy, level)
    rows, cols = wanted.shape
    asked = {
        "contours": {
            "endocardium": given.endocardium.tolist(), "epicardium": given.epicardium.tolist(),
            "rv_insertion_anterior": list(points[0]), "rv_insertion_inferior": list(points[1]),
        },
        "level": level, "rows": rows, "cols": cols, "offset": [0, 0],
    }  # fmt: skip
    node = frontend.find_node()
    said = subprocess.run(
        [node.node, "--no-warnings", str(SCRIPT)], cwd=CHECKOUT, capture_output=True, check=True,
        input=json.dumps(asked).encode(),
    )  # fmt: skip
    found = np.array(json.loads(said.stdout)).reshape(rows, cols)
    wall = (wanted > 0) | (found > 0)
    # A pixel whose centre lies on an outline may count to either side.
    assert ((wanted > 0) == (found > 0))[wall].mean() > 0.97
    both = (wanted > 0) & (found > 0)
    assert (wanted == found)[both].mean() > 0.985
    assert len(np.unique(found[both])) == (4 if level == "apical" else 6)
