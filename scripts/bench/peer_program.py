"""A public peer, run by a Python that has it: no part of the project is imported here.

    python peer_program.py NAME IN.npz OUT.npz

IN holds a film (T, rows, cols), or curves; OUT what the peer made of them and the seconds that it
took, without imports and files. The peers are found by name, since the project does not need them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

Given = Mapping[str, NDArray[Any]]
Made = dict[str, NDArray[Any]]

#: The module that tells whether a peer is there.
MODULES = {"mdreg": "mdreg", "elastix": "itk", "dcmri": "dcmri"}
_MDREG_ROUNDS = 3
_ELASTIX_STEPS, _ELASTIX_LEVELS, _GRID_PX = 50, 3, 16
#: dcmri's own choice for tissue: smaller singular values, as a share of the largest, are left out.
_DCMRI_TOLERANCE = 0.1


def mdreg(peer: Any, given: Given) -> Made:
    """mdreg with its linear model of two compartments and its default registration."""
    film = np.moveaxis(np.asarray(given["film"], dtype=np.float64), 0, -1)
    model = {
        "func": peer.fit_2cm_lin, "aif": given["blood"], "time": given["times_s"],
        "baseline": int(given["baseline"]), "progress_bar": False,
    }  # fmt: skip
    begun = time.perf_counter()
    moved = peer.fit(film, fit_image=model, maxit=_MDREG_ROUNDS)[2]
    seconds = time.perf_counter() - begun
    return {"field": np.transpose(moved, (2, 3, 0, 1)), "seconds": np.array(seconds)}


def elastix(peer: Any, given: Given) -> Made:
    """elastix, all frames at once by PCAMetric2 (Huizinga 2016, 10.1016/j.media.2015.12.004)."""
    parameters = peer.ParameterObject.New()
    chosen = parameters.GetDefaultParameterMap("groupwise")
    chosen["Metric"] = ("PCAMetric2",)
    chosen["SubtractMean"] = ("true",)
    chosen["MovingImageDerivativeScales"] = ("1", "1", "0")
    chosen["MaximumNumberOfIterations"] = (str(_ELASTIX_STEPS),)
    chosen["NumberOfResolutions"] = (str(_ELASTIX_LEVELS),)
    chosen["GridSpacingSchedule"] = tuple(str(2**n) for n in reversed(range(_ELASTIX_LEVELS)))
    chosen["FinalGridSpacingInPhysicalUnits"] = (str(_GRID_PX),)
    chosen["WriteResultImage"] = ("false",)
    parameters.AddParameterMap(chosen)
    image = peer.image_view_from_array(np.ascontiguousarray(given["film"], dtype=np.float32))
    begun = time.perf_counter()
    _, transform = peer.elastix_registration_method(image, image, parameter_object=parameters)
    told = np.asarray(peer.transformix_deformation_field(image, transform))
    seconds = time.perf_counter() - begun
    # Vectors are (column, row, frame).
    return {"field": np.moveaxis(told[..., 1::-1], -1, 1), "seconds": np.array(seconds)}


def dcmri(peer: Any, given: Given) -> Made:
    """dcmri's deconvolution by truncated singular values; flow is the response's peak, 1/s."""
    step_s = float(given["times_s"][1] - given["times_s"][0])
    begun = time.perf_counter()
    response = peer.deconv(given["tissue"].T, given["blood"], step_s, tol=_DCMRI_TOLERANCE)
    flow = response.max(axis=0)
    return {"flow": flow, "seconds": np.array(time.perf_counter() - begun)}


PEERS: dict[str, Callable[[Any, Given], Made]] = {
    "mdreg": mdreg,
    "elastix": elastix,
    "dcmri": dcmri,
}


def main(name: str, given: str, made: str) -> None:
    peer = import_module(MODULES[name])
    with np.load(given) as arrays:
        np.savez(made, **PEERS[name](peer, dict(arrays)))


if __name__ == "__main__":
    main(*sys.argv[1:])
