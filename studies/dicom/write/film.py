"""What the writers are given: a slice as it came, what was found in it, and what found it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from studies.dicom.frames import Frame

#: Changes with what is made of the same result: what is not the same has another UID.
WRITER = 1
#: The version of the site that the objects name beside the engine's.
SOFTWARE_VERSION = "0.1.0"


@dataclass(frozen=True)
class Flow:
    """Flow of an AHA segment with its 90 % interval, in the map's unit; ``None`` where unknown."""

    mbf: float | None
    low: float | None = None
    high: float | None = None
    ischaemic: bool | None = None


@dataclass(frozen=True)
class Making:
    """What made a result: engine, version, model, and a digest of all parameters."""

    engine: str
    version: str
    model: str
    parameters: Mapping[str, object]

    @cached_property
    def parameters_sha256(self) -> str:
        text = json.dumps(self.parameters, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def sentence(self) -> str:
        return (
            f"CoreCMR {SOFTWARE_VERSION}, engine {self.engine} {self.version}, model "
            f"{self.model}, parameters sha256 {self.parameters_sha256}"
        )


@dataclass(frozen=True)
class Film:
    """A slice over time as it came, and what was found in it.

    number: place in the study, from 0. head: the header of the first frame's file. frames: T, in
    the order of time; times_s: (T,) from the first. offset: row and column of the arrays' first
    pixel on the source grid. corrected: (T, r, c) in the scanner's units; mbf: (r, c) in ``unit``,
    NaN outside the muscle; segmentation: (r, c) 0 background, 1 myocardium, 2 LV blood, 3 RV
    blood; aha: (r, c) segment number, 0 elsewhere. picture: (height, width, 3) the map in colour
    with its scale, if there is one.
    """

    number: int
    folder: str
    state: str
    level: str
    head: Dataset
    frames: tuple[Frame, ...]
    times_s: tuple[float, ...]
    offset: tuple[int, int]
    corrected: NDArray[np.float32]
    mbf: NDArray[np.float32]
    segmentation: NDArray[np.uint8]
    aha: NDArray[np.uint8]
    unit: str
    segments: Mapping[int, Flow]
    mbf_global: float | None
    making: Making
    picture: NDArray[np.uint8] | None = None
    #: Whether a person drew or changed the contours.
    drawn: bool = False
    #: Whether the patient's name, number and date of birth are written where the files have them.
    name_patient: bool = False

    @property
    def is_flow(self) -> bool:
        """Whether the map is flow, rather than relative numbers."""
        return self.unit == "ml/min/g"

    @property
    def title(self) -> str:
        return f"{self.state} {self.level}" if self.state != "unknown" else self.level

    @cached_property
    def key(self) -> bytes:
        """A digest of all that the objects of this slice are made from."""
        whole = hashlib.sha256()
        told = [
            WRITER, SOFTWARE_VERSION, self.folder, self.name_patient, self.drawn, self.unit,
            self.mbf_global,
            self.making.engine, self.making.version, self.making.parameters_sha256,
            list(self.offset), list(self.times_s),
            [[frame.sop_instance_uid, frame.frame_number] for frame in self.frames],
            {n: [f.mbf, f.low, f.high, f.ischaemic] for n, f in sorted(self.segments.items())},
        ]  # fmt: skip
        whole.update(json.dumps(told, sort_keys=True, default=str).encode())
        for array in (self.corrected, self.mbf, self.segmentation, self.aha, self.picture):
            if array is not None:
                whole.update(str(array.shape).encode() + np.ascontiguousarray(array).tobytes())
        return whole.digest()

    def uid(self, *parts: object) -> str:
        """A UID that the same slice, result and parts always give."""
        return uid_of(self.key, *parts)


def uid_of(key: bytes, *parts: object) -> str:
    """A UID below 2.25 from 122 bits of a digest."""
    text = "/".join(str(part) for part in parts)
    digest = hashlib.sha256(key + text.encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') >> 6 | 1 << 121}"
