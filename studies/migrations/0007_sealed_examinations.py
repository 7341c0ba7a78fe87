from django.db import migrations

import studies.models.fields


class Migration(migrations.Migration):
    dependencies = [
        ('studies', '0006_sealed_names'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='upload',
            name='examinations',
        ),
        migrations.AddField(
            model_name='upload',
            name='examinations',
            field=studies.models.fields.SealedListField(blank=True, default=list),
        ),
    ]
