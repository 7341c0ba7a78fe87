"""``manage.py analyse``: an engine on a folder of DICOM, without database and without settings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from processing.analysis import NothingToAnalyse, analyse_folder
from processing.engines import engine_names
from processing.mcaq.kinetics.names import DEFAULT, UNITS, is_flow
from processing.protocol import BadProtocol, load
from studies.intended_use import INTENDED_USE

_STAGES = {
    "read": "Reading",
    "motion": "Correcting motion",
    "segmentation": "Finding the heart muscle",
    "flow": "Computing flow",
    "write": "Writing",
}
_NOTHING_ANALYSED = 2


class Command(BaseCommand):
    help = f"Compute heart-muscle blood flow from a folder of DICOM files. {INTENDED_USE}"
    requires_system_checks: list[str] = []  # noqa: RUF012  (Django's own signature)
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("input_dir", type=Path, help="folder with DICOM files, nested or not")
        parser.add_argument("output_dir", type=Path, help="new or empty folder for the results")
        parser.add_argument("--engine", default="mcaq", help=f"one of {', '.join(engine_names())}")
        parser.add_argument(
            "--protocol", type=Path, help="JSON file with what DICOM does not say of the sequence"
        )
        parser.add_argument(
            "--model",
            choices=[name for name in UNITS if is_flow(name)],
            help=f"the kinetic model that makes the maps (usually {DEFAULT})",
        )
        parser.add_argument(
            "--models",
            metavar="NAME[,NAME…]|all",
            help=f"further kinetic models for the segments: {', '.join(UNITS)}",
        )

        parser.add_argument(
            "--concentration",
            choices=("model", "linear"),
            help="how signal tells contrast: by the sequence's model (the usual way), or taken as "
            "linear, which gives relative numbers, no flow",
        )

        parser.add_argument(
            "--patient",
            action="store_true",
            help="write the patient's name, number and date of birth into the DICOM objects, so "
            "that an archive files them with the examination",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        bar = _bar if sys.stderr.isatty() else None
        try:
            protocol = load(options["protocol"]) if options["protocol"] else None
            content = analyse_folder(
                options["input_dir"],
                options["output_dir"],
                engine=options["engine"],
                protocol=protocol,
                model=options["model"],
                models=options["models"],
                concentration=options["concentration"],
                name_patient=options["patient"],
                progress=bar or _silent,
            )
        except (NothingToAnalyse, BadProtocol) as error:
            if bar is not None:
                _clear()
            raise CommandError(str(error), returncode=_NOTHING_ANALYSED) from None
        if bar is not None:
            _clear()
        for series in content["series"]:
            flow = series["mbf"]["global"]
            told = "flow unknown" if flow is None else f"{flow:.2f} {series['mbf_unit']}"
            self.stdout.write(f"{series['folder']}: {told}, {len(series['frames'])} frames")
        if content["unused"]:
            number = len(content["unused"])
            what = "1 file was" if number == 1 else f"{number} files were"
            self.stdout.write(f"{what} not used; report.json says why.")
        self.stdout.write(INTENDED_USE)


def _silent(stage: str, fraction: float) -> None:
    pass


def _bar(stage: str, fraction: float) -> None:
    width = 30
    done = round(width * min(max(fraction, 0.0), 1.0))
    name = _STAGES.get(stage, stage)
    sys.stderr.write(f"\r[{'#' * done}{'.' * (width - done)}] {fraction:4.0%} {name:<26}")
    sys.stderr.flush()


def _clear() -> None:
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()
