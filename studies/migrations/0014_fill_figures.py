"""Fill in which result is the newest, and the figures that cohorts are chosen by."""

from django.db import migrations
from django.db.models import Max


def fill(apps, schema_editor):
    from studies.results import figures

    result_model = apps.get_model("studies", "Result")
    newest = dict(
        result_model.objects.order_by().values_list("study").annotate(last=Max("number"))
    )
    for result in result_model.objects.order_by("pk").iterator(chunk_size=50):
        result_model.objects.filter(pk=result.pk).update(
            is_newest=newest[result.study_id] == result.number, **figures(result.report)
        )


class Migration(migrations.Migration):
    dependencies = [("studies", "0013_projects_and_figures")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
