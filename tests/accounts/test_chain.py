"""The record can only be added to, and whoever tampers with it all the same is found."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from accounts import audit, chain
from accounts.models import AuditEvent, AuditLink
from scripts.drill import audit_chain
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db

TABLES = ("accounts_auditevent", "accounts_auditlink")


def execute(*statements: str) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def trail() -> None:
    """Twelve events, chained as at the end of a transaction, and all triggers switched on."""
    user = make_user(make_trust())
    for number in range(12):
        audit.record(user, "study.view", user, number=number, word='quoted " ünï')
    execute(
        "SET CONSTRAINTS ALL IMMEDIATE",
        *(f"ALTER TABLE {table} ENABLE TRIGGER audit_keep_whole" for table in TABLES),
    )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET {} = {}", "DELETE FROM {} WHERE {} = {}", "TRUNCATE {}", "TRUNCATE {} CASCADE"],
)
def test_the_database_refuses_to_change_the_record(trail, table, statement):
    column = "id" if table == "accounts_auditevent" else "position"
    with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
        execute(statement.format(table, column, column))
    assert AuditEvent.objects.count() == AuditLink.objects.count() == 12


def test_the_models_are_refused_too(trail):
    event = AuditEvent.objects.first()
    event.verb = "another"
    for change in (event.save, event.delete, AuditEvent.objects.all().delete):
        with pytest.raises(DatabaseError, match="can only be added to"), transaction.atomic():
            change()


def test_links_are_made_by_the_trigger_alone(trail):
    with pytest.raises(DatabaseError, match="made by its own trigger"), transaction.atomic():
        AuditLink.objects.create(position=99, event_id=99, digest="0" * 64)


def test_each_event_has_one_link_in_the_order_of_commits(trail):
    assert list(AuditLink.objects.values_list("position", flat=True)) == list(range(1, 13))
    assert set(AuditLink.objects.values_list("event_id", flat=True)) == set(
        AuditEvent.objects.values_list("pk", flat=True)
    )
    assert chain.verify() == chain.Finding(12)


def test_what_is_not_committed_is_not_chained(trail):
    with transaction.atomic():
        audit.record(None, "study.view")
        transaction.set_rollback(True)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert chain.verify().length == 12


@pytest.mark.parametrize("kind", audit_chain.KINDS)
def test_tampering_is_found_and_its_place_named(trail, tmp_path, kind):
    heads = tmp_path / "heads.jsonl"
    assert chain.keep_head(heads).position == 12
    drill = audit_chain.Tampering(seed=kind)
    for _ in range(3):
        with transaction.atomic():
            place = drill.tamper(kind)
            found = chain.verify(heads)
            assert found.broken_at is not None
            assert found.broken_at <= place
            transaction.set_rollback(True)
    assert chain.verify(heads) == chain.Finding(12)


def test_a_kept_head_that_is_not_ours_is_told(trail, tmp_path, settings):
    heads = tmp_path / "heads.jsonl"
    chain.keep_head(heads)
    line = json.loads(heads.read_text())
    heads.write_text(json.dumps({**line, "position": 11}) + "\n")
    assert "not signed by this site" in chain.verify(heads).reason
    # A key that was changed still knows what it signed before.
    heads.write_text(json.dumps(line) + "\n")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another" * 10
    assert chain.verify(heads) == chain.Finding(12)


def test_the_command_keeps_the_head_or_names_the_broken_place(trail, tmp_path):
    heads = tmp_path / "away" / "heads.jsonl"
    for _ in range(2):
        said = StringIO()
        call_command("verify_audit", heads=heads, stdout=said)
        assert "The record is whole: 12 events." in said.getvalue()
    assert len(heads.read_text().splitlines()) == 1
    event = AuditLink.objects.get(position=5).event_id
    execute(
        "ALTER TABLE accounts_auditevent DISABLE TRIGGER USER",
        f"UPDATE accounts_auditevent SET verb = 'study.list' WHERE id = {event}",  # noqa: S608
        "ALTER TABLE accounts_auditevent ENABLE TRIGGER USER",
    )
    with pytest.raises(CommandError, match=r"Broken at position 5: event \d+ or its link was"):
        call_command("verify_audit", heads=heads)
