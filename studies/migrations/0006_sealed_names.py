from django.db import migrations

import studies.models.fields


class Migration(migrations.Migration):
    """Names that stand in the open go: they were kept for the sender's page alone."""

    dependencies = [
        ('studies', '0005_source_identity'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='uploaditem',
            name='name',
        ),
        migrations.AddField(
            model_name='uploaditem',
            name='name',
            field=studies.models.fields.SealedNameField(blank=True, default=''),
        ),
        migrations.RemoveField(
            model_name='uploadpart',
            name='name',
        ),
        migrations.AddField(
            model_name='uploadpart',
            name='name',
            field=studies.models.fields.SealedNameField(blank=True, default=''),
        ),
    ]
