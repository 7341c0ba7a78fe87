"""The accuracy card of an engine, from phantoms whose flow is known."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from corecmr import sandbox
from processing import card
from processing.engines import UnknownEngine, get_engine
from processing.models import EngineCard


class Command(BaseCommand):
    help = "Run an engine on phantoms and print its accuracy card; 1 if it does not conform."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("engine")
        parser.add_argument("--studies", type=int, default=8, help="how many phantoms (8)")
        parser.add_argument("--keep", action="store_true", help="keep the card for the admin pages")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["engine"]
        try:
            get_engine(name)
        except UnknownEngine as error:
            raise CommandError(str(error)) from None
        found = card.Card(name)
        for seed, how in card.wanted(options["studies"]):
            found.studies += 1
            told = self._ask(name, seed, how)
            if isinstance(told, str):
                found.ended.append(told)
            else:
                found.take(told)
        for line in card.lines(found):
            self.stdout.write(line)
        if options["keep"]:
            EngineCard.objects.create(
                engine=name, version=found.version, conforms=found.conforms,
                studies=found.studies, figures=found.figures(),
            )  # fmt: skip
        if not found.conforms:
            raise CommandError("The engine does not conform; see above.", returncode=1)

    def _ask(self, name: str, seed: int, how: dict[str, Any]) -> dict[str, Any] | str:
        """One phantom in a child with the limits of a run; a sentence where it came to nothing."""
        said: dict[str, Any] = {}

        def hear(line: str) -> None:
            message = sandbox.parse_json_line(line)
            if "segments" in message:
                said.update(message)

        outcome = sandbox.run(
            "processing.card",
            [],
            sandbox.Limits(
                memory_bytes=settings.RUN_MEMORY_BYTES,
                wall_seconds=settings.RUN_WALL_SECONDS,
                cpu_seconds=2 * settings.RUN_WALL_SECONDS,
            ),
            stdin=json.dumps({"engine": name, "seed": seed, "how": how}),
            on_line=hear,
        )
        if outcome.ended_by == "wall":
            return f"it took longer than {settings.RUN_WALL_SECONDS} seconds"
        if outcome.returncode or not said:
            last = [line for line in outcome.stderr.splitlines() if line.strip()][-1:]
            return f"it ended with status {outcome.returncode}: {''.join(last)[:200]}"
        return said
