"""The object that the workspace draws, read as a browser reads it."""

from __future__ import annotations

import gzip
import json
import struct
from typing import Any

import numpy as np


def read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header, and arrays by name."""
    whole = gzip.decompress(data)
    (length,) = struct.unpack("<I", whole[:4])
    header = json.loads(whole[4 : 4 + length])
    arrays = {}
    for one in header["arrays"]:
        count = int(np.prod(one["shape"]))
        at = 4 + length + one["at"]
        assert at % 4 == 0
        arrays[one["name"]] = np.frombuffer(whole, one["type"], count, at).reshape(one["shape"])
    return header, arrays
