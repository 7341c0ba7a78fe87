"""The child's side of the nightly measurement: a phantom as DICOM, analysed like any study."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from processing.analysis import NothingToAnalyse, analyse_folder
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study

#: Neither a seed that the engine was tuned on nor one of an engine's card.
SEED = 7_100


def main() -> int:
    request = json.loads(sys.stdin.read())
    folder = Path(request["folder"])
    phantom = make_study(SEED)
    write_study(phantom, folder / "in")
    truths = {(one.state, one.level): one.segment_mbf for one in phantom.truth}
    begun = time.perf_counter()
    try:
        report = analyse_folder(folder / "in", folder / "out", engine=request["engine"])
    except NothingToAnalyse as error:
        print(json.dumps({"ended": str(error).splitlines()[0]}), flush=True)
        return 2
    segments = {
        f"{entry['folder']}/{number}": [
            truths[entry["state"], entry["level"]][int(number)],
            flow["mbf"],
        ]
        for entry in report["series"]
        if (entry["state"], entry["level"]) in truths
        for number, flow in entry["mbf"]["segments"].items()
        if flow["mbf"] is not None and int(number) in truths[entry["state"], entry["level"]]
    }
    engine = f"{report['engine']['name']} {report['engine']['version']}"
    seconds = round(time.perf_counter() - begun, 1)
    print(json.dumps({"engine": engine, "segments": segments, "seconds": seconds}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
