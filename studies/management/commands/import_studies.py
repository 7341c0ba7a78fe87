"""Bring an archive in: a folder of any shape, one upload for each examination."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Trust, User
from studies import quota, storage, uploads
from studies.dicom.peek import is_archive, study_of
from studies.models import Upload, UploadItem
from studies.refusals import NoRoom, UploadError

#: While uploads wait to be checked there may be no room for more.
_BETWEEN_SECONDS = 2.0
_PATIENCE_SECONDS = 15 * 60
_LONGEST_LIST = 20


@dataclass
class Found:
    """What lies in the folder: files by examination, archives by themselves, and the rest."""

    groups: dict[str, list[Path]] = field(default_factory=dict)
    left_out: list[Path] = field(default_factory=list)


class Command(BaseCommand):
    help = (
        "Bring a folder of DICOM files and ZIP archives in, one upload for each examination. "
        "What the trust was sent before is skipped, so the command can be run again at any time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--trust", required=True, help="name of the trust that owns the studies"
        )
        parser.add_argument(
            "--user",
            help="e-mail of the person in whose name they come; needed where the trust has more "
            "than one person who may upload",
        )

    def handle(
        self, *args: Any, folder: Path, trust: str, user: str | None, **options: Any
    ) -> None:
        if not folder.is_dir():
            raise CommandError(_("%(folder)s is not a folder.") % {"folder": folder})
        person = _person(_trust(trust), user)
        self._quiet = options["verbosity"] == 0
        found = self._look(folder)
        counts = {"sent": 0, "skipped": 0, "failed": 0, "files": 0}
        for number, paths in enumerate(found.groups.values(), start=1):
            where = f"{number}/{len(found.groups)} {paths[0].parent.relative_to(folder)}"
            try:
                outcome = self._send(person, folder, paths, where)
            except NoRoom as error:
                raise CommandError(str(error)) from None
            except (UploadError, OSError) as error:
                self.stderr.write(f"{where}: {error}")
                outcome = "failed"
            counts[outcome] += 1
            counts["files"] += len(paths) if outcome == "sent" else 0
        self._summary(counts, found, folder)

    def _look(self, folder: Path) -> Found:
        """Sort the files by examination; of each only the header is read."""
        found = Found()
        examinations = 0
        for number, path in enumerate(_files(folder), start=1):
            if number % 1000 == 0:
                self._say(_("%(number)s files looked at") % {"number": number})
            try:
                key = str(path) if is_archive(path) else study_of(path)
            except OSError:
                key = None
            if key is None:
                found.left_out.append(path)
                continue
            examinations += key not in found.groups
            found.groups.setdefault(key, []).append(path)
        self._say(
            ngettext("%(number)s examination found", "%(number)s examinations found", examinations)
            % {"number": examinations}
        )
        return found

    def _send(self, person: User, folder: Path, paths: list[Path], where: str) -> str:
        assert person.trust is not None  # noqa: S101  (_person has seen to it)
        if _all_known(person.trust, paths):
            self._say(f"{where}: {_('here already')}")
            return "skipped"
        waited = 0.0
        before: object = None
        while True:
            try:
                upload = uploads.receive(person, _opened(paths, folder), keep_all=True)
            except quota.OverQuota:
                now = _progress(person.trust)
                if now is None:
                    raise  # nothing is being checked: waiting would make no room
                if now != before:
                    before, waited = now, time.monotonic()
                if time.monotonic() - waited > _PATIENCE_SECONDS:
                    raise CommandError(
                        _(
                            "There is no room for more until the worker has checked what was "
                            "sent, and it gets no further. See that it runs, then start this "
                            "command again: what was sent is skipped."
                        )
                    ) from None
                self._say(f"{where}: {_('waits until uploads before it are checked')}")
                threading.Event().wait(_BETWEEN_SECONDS)
                continue
            self._say(
                f"{where}: "
                + ngettext("%(number)s file sent", "%(number)s files sent", upload.total)
                % {"number": upload.total}
            )
            return "sent"

    def _summary(self, counts: dict[str, int], found: Found, folder: Path) -> None:
        self.stdout.write(
            _(
                "Examinations: %(sent)s sent (%(files)s files), %(skipped)s here already, "
                "%(failed)s failed. Files that are no DICOM and were left out: %(left)s."
            )
            % {**counts, "left": len(found.left_out)}
        )
        for path in found.left_out[:_LONGEST_LIST]:
            self.stdout.write(f"  {path.relative_to(folder)}")
        if len(found.left_out) > _LONGEST_LIST:
            more = len(found.left_out) - _LONGEST_LIST
            self.stdout.write("  " + _("and %(number)s more") % {"number": more})
        if counts["failed"]:
            raise CommandError(
                _("Some examinations could not be sent. Mend what is said above, and run it again.")
            )

    def _say(self, sentence: str) -> None:
        if not self._quiet:
            self.stdout.write(sentence)


def _trust(name: str) -> Trust:
    trust = Trust.objects.filter(Q(name__iexact=name) | Q(public_id=name.lower())).first()
    if trust is None:
        names = ", ".join(Trust.objects.order_by("name").values_list("name", flat=True))
        raise CommandError(
            _("There is no trust %(name)s. There are: %(names)s.") % {"name": name, "names": names}
        )
    return trust


def _person(trust: Trust, email: str | None) -> User:
    members = [
        one
        for one in User.objects.filter(memberships__trust=trust).distinct()
        if one.can("upload") and one.trust == trust and (not email or one.email == email.lower())
    ]
    if email and not members:
        raise CommandError(
            _("%(email)s may not upload for %(trust)s.") % {"email": email, "trust": trust.name}
        )
    if len(members) != 1:
        raise CommandError(
            _("Say with --user in whose name the studies come: one of the trust's people who may "
              "upload.")
        )  # fmt: skip
    return members[0]


def _files(folder: Path) -> Iterator[Path]:
    """All files below, in one order; links are not followed, they may lead anywhere."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _opened(paths: list[Path], folder: Path) -> Iterator[tuple[str, File]]:
    """One file at a time, however large the archive is."""
    for path in paths:
        with path.open("rb") as handle:
            yield str(path.relative_to(folder)), File(handle)


def _all_known(trust: Trust, paths: list[Path]) -> bool:
    """Whether the trust was sent each of these files before, to the byte."""
    received = UploadItem.objects.filter(upload__trust=trust).filter(
        Q(upload__state__in=Upload.OPEN) | ~Q(state=UploadItem.State.RECEIVED)
    )
    return all(received.filter(sha256=storage.file_sha256(path)).exists() for path in paths)


def _progress(trust: Trust) -> object:
    """What changes while the trust's uploads are checked; None if none waits for the worker."""
    waiting = Upload.objects.filter(
        trust=trust, state__in=[Upload.State.QUEUED, Upload.State.CHECKING]
    )
    return list(waiting.order_by("pk").values_list("pk", "state", "done")) or None
