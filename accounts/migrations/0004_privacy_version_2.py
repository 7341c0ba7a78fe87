"""The privacy policy tells of contact details, second factors, sessions and register of interest."""

from django.db import migrations
from django.utils import timezone


def publish(apps, schema_editor):
    policies = apps.get_model("accounts", "Policy").objects.using(schema_editor.connection.alias)
    policies.get_or_create(kind="privacy", version=2, defaults={"published_at": timezone.now()})


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_people_and_administrators")]

    operations = [migrations.RunPython(publish, migrations.RunPython.noop)]
