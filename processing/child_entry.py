"""The child's side: reads a request from standard input, analyses, says how it goes in JSON lines.

Exit status 0: the output folder is complete. 2: nothing could be analysed, a line says why.
Anything else is a bug.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from processing.analysis import NothingToAnalyse, analyse_folder


def main() -> int:
    request = json.loads(sys.stdin.read())

    def progress(stage: str, fraction: float) -> None:
        print(json.dumps({"stage": stage, "fraction": round(fraction, 4)}), flush=True)

    parameters = request["parameters"]
    try:
        analyse_folder(
            Path(request["input"]),
            Path(request["output"]),
            engine=request["engine"],
            protocol=parameters.get("protocol"),
            given=parameters.get("given"),
            model=parameters.get("model"),
            concentration=parameters.get("concentration"),
            # At the level of segments they cost little, and their spread is worth knowing.
            models=parameters.get("models", "all"),
            times=parameters.get("times"),
            corrections=parameters.get("corrections") or [],
            # Null says that no protocol was used; what was not asked for is absent.
            about={"protocol_version": parameters.get("protocol_version")}
            | {
                key: parameters[key]
                for key in ("protocol_tie", "record", "edited")
                if key in parameters
            },
            progress=progress,
        )
    except NothingToAnalyse as error:
        print(json.dumps({"sentence": str(error)}), flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
