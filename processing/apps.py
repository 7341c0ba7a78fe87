from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProcessingConfig(AppConfig):
    name = "processing"
    verbose_name = _("Processing")

    def ready(self) -> None:
        from processing import checks, engines  # noqa: F401  (checks registers them)
        from studies import judging

        judging.accepting.append(engines.object_classes)
