"""The first versions of the policies, and the cache table that limits on sign-in need."""

from django.core.management import call_command
from django.db import migrations
from django.utils import timezone


def publish(apps, schema_editor):
    policies = apps.get_model("accounts", "Policy").objects.using(schema_editor.connection.alias)
    for kind in ("privacy", "terms"):
        policies.get_or_create(kind=kind, version=1, defaults={"published_at": timezone.now()})


def make_cache_table(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RunPython(publish, migrations.RunPython.noop),
        migrations.RunPython(make_cache_table, migrations.RunPython.noop),
    ]
