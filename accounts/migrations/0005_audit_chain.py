"""The record can be added to and nothing else, and each of its rows is chained to the one before.

The link of a row is made at the end of its transaction, not when it is inserted: the lock that
keeps links in order is then held only while committing, and is always the last one taken, so that
work on other rows neither waits for it nor deadlocks with it.
"""

from django.db import migrations, models

#: Frozen here, and said again in accounts/chain.py for the check: a stored function could be
#: replaced by whoever tampers with the rows.
DIGEST = """
encode(sha256(convert_to(jsonb_build_array(
    {position}, {previous}, {event}.id,
    to_char({event}.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
    {event}.actor, {event}.verb, {event}.object_type, {event}.object_id, {event}.detail,
    {event}.request_id
)::text, 'UTF8')), 'hex')
"""

LINK = f"""
CREATE FUNCTION corecmr_audit_link() RETURNS trigger LANGUAGE plpgsql AS $body$
DECLARE
    last_position bigint;
    last_digest text;
BEGIN
    PERFORM pg_advisory_xact_lock(7108211);
    SELECT position, digest INTO last_position, last_digest
      FROM accounts_auditlink ORDER BY position DESC LIMIT 1;
    last_position := coalesce(last_position, 0);
    last_digest := coalesce(last_digest, '');
    INSERT INTO accounts_auditlink (position, event_id, digest) VALUES (
        last_position + 1, NEW.id,
        {DIGEST.format(position="last_position + 1", previous="last_digest", event="NEW")}
    );
    RETURN NULL;
END
$body$;
CREATE CONSTRAINT TRIGGER audit_link AFTER INSERT ON accounts_auditevent
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION corecmr_audit_link();
"""

KEEP = """
CREATE FUNCTION corecmr_audit_keep() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'The record of actions can only be added to (% of %).', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END
$body$;
CREATE FUNCTION corecmr_audit_only_chained() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        RAISE EXCEPTION 'Links of the record are made by its own trigger.'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$body$;
CREATE TRIGGER audit_only_chained BEFORE INSERT ON accounts_auditlink
    FOR EACH ROW EXECUTE FUNCTION corecmr_audit_only_chained();
""" + "".join(
    f"""
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION corecmr_audit_keep();
CREATE TRIGGER audit_keep_whole BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION corecmr_audit_keep();
"""
    for table in ("accounts_auditevent", "accounts_auditlink")
)

#: What was recorded before there was a chain is chained in the order of its ids.
CHAIN_WHAT_IS_THERE = f"""
DO $body$
DECLARE
    event accounts_auditevent;
    last_position bigint := 0;
    last_digest text := '';
BEGIN
    FOR event IN SELECT * FROM accounts_auditevent ORDER BY id LOOP
        last_digest := {DIGEST.format(
            position="last_position + 1", previous="last_digest", event="event"
        )};
        last_position := last_position + 1;
        INSERT INTO accounts_auditlink (position, event_id, digest)
            VALUES (last_position, event.id, last_digest);
    END LOOP;
END
$body$;
"""

UNDO = """
DROP TRIGGER audit_link ON accounts_auditevent;
DROP TRIGGER audit_keep ON accounts_auditevent;
DROP TRIGGER audit_keep_whole ON accounts_auditevent;
DROP TRIGGER audit_keep ON accounts_auditlink;
DROP TRIGGER audit_keep_whole ON accounts_auditlink;
DROP TRIGGER audit_only_chained ON accounts_auditlink;
DROP FUNCTION corecmr_audit_link();
DROP FUNCTION corecmr_audit_keep();
DROP FUNCTION corecmr_audit_only_chained();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_privacy_version_2")]

    operations = [
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("event_id", models.BigIntegerField(unique=True)),
                ("digest", models.CharField(max_length=64)),
            ],
            options={"ordering": ["position"]},
        ),
        # params=None: the percent sign of RAISE is not a place for one.
        migrations.RunSQL(CHAIN_WHAT_IS_THERE, migrations.RunSQL.noop),
        migrations.RunSQL(LINK + KEEP, UNDO),
    ]
