"""The chain of the record: whether it is whole, and where it is broken if it is not.

Triggers of the database refuse every change of a row and link each new one to the one before
(see the migration ``audit_chain``). Who owns the database can switch triggers off, so the chain is
checked by computing it anew here, and its head is kept outside the database, signed: a chain
that was cut at its end, or computed anew, does not lead to the heads that were kept.

Not found is what was recorded after the newest kept head, then cut off or replaced by somebody
who also computes the links: how much that can be is how often heads are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.models import AuditLink

_SALT = "corecmr.audit.head"

#: All but position and previous digest of what is hashed, in the database's own canonical JSON;
#: as in the trigger.
_ROWS = """
SELECT link.position, link.event_id, link.digest, event.id,
       jsonb_build_array(event.id,
           to_char(event.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
           event.actor, event.verb, event.object_type, event.object_id, event.detail,
           event.request_id)::text
  FROM accounts_auditlink AS link
  FULL JOIN accounts_auditevent AS event ON event.id = link.event_id
 ORDER BY link.position NULLS LAST, event.id
"""


@dataclass(frozen=True)
class Head:
    """The last link of the chain; position 0 is an empty record."""

    position: int
    digest: str


@dataclass(frozen=True)
class Finding:
    """How long the chain is, and the first thing that is wrong with it, if there is one."""

    length: int
    broken_at: int | None = None
    reason: str = ""


def head() -> Head:
    """The newest link."""
    last = AuditLink.objects.order_by("-position").first()
    return Head(last.position, last.digest) if last else Head(0, "")


def verify(heads: Path | None = None) -> Finding:
    """Compute the chain anew and compare it with the heads kept in ``heads``."""
    kept, forged = _kept(heads) if heads else ({}, 0)
    length, previous = 0, ""
    for position, event_id, digest, found, content in _rows():
        expected = length + 1
        if position is None:
            return Finding(length, expected, f"event {found} was put in beside the chain")
        if position != expected:
            return Finding(length, expected, f"link {expected} is not there")
        if found is None:
            return Finding(length, expected, f"event {event_id} was deleted")
        computed = hashlib.sha256(
            f"[{position}, {json.dumps(previous)}, {content[1:]}".encode()
        ).hexdigest()
        if computed != digest:
            return Finding(length, expected, f"event {event_id} or its link was changed")
        if kept.get(position, digest) != digest:
            return Finding(length, expected, "the chain was computed anew up to here")
        length, previous = position, digest
    cut = [position for position in kept if position > length]
    if cut:
        return Finding(length, length + 1, f"the end was cut off: a head of {max(cut)} was kept")
    if forged:
        return Finding(length, None, f"line {forged} of the kept heads is not signed by this site")
    return Finding(length)


def _rows() -> Iterator[tuple[int | None, int | None, str, int | None, str]]:
    with transaction.atomic(), connection.cursor() as plain:
        # Within a transaction that recorded something: its links are due at its end.
        plain.execute("SET CONSTRAINTS audit_link IMMEDIATE")
        plain.execute("SET CONSTRAINTS audit_link DEFERRED")
        with connection.chunked_cursor() as cursor:
            cursor.execute(_ROWS)
            while rows := cursor.fetchmany(5000):
                yield from rows


# --- heads outside the database -----------------------------------------------------------------


def keep_head(heads: Path | None = None) -> Head:
    """Add the signed head to the file ``heads``, unless it is there already."""
    path = heads or settings.AUDIT_HEADS
    now = head()
    kept, _ = _kept(path)
    if now.position and now.position not in kept:
        line = {
            "position": now.position,
            "digest": now.digest,
            "at": timezone.now().isoformat(timespec="seconds"),
        }
        line["mac"] = _mac(line, settings.SECRET_KEY)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            handle.write(json.dumps(line) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
    return now


def _kept(path: Path) -> tuple[dict[int, str], int]:
    """The digests of kept heads by position, and the first line that is not ours (0: none)."""
    kept: dict[int, str] = {}
    forged = 0
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}, 0
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text)
            mac = line.pop("mac")
            if not any(hmac.compare_digest(mac, _mac(line, key)) for key in _keys()):
                raise ValueError
            kept[line["position"]] = line["digest"]
        except (ValueError, KeyError, AttributeError, TypeError):
            forged = forged or number
    return kept, forged


def _keys() -> list[str]:
    return [settings.SECRET_KEY, *map(str, settings.SECRET_KEY_FALLBACKS)]


def _mac(line: dict[str, object], key: str) -> str:
    text = json.dumps([line["position"], line["digest"], line["at"]])
    return salted_hmac(_SALT, text, secret=key, algorithm="sha256").hexdigest()
