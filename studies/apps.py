from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StudiesConfig(AppConfig):
    name = "studies"
    verbose_name = _("Studies")

    def ready(self) -> None:
        from accounts import audit
        from studies import openings

        audit.named_objects.append(openings.ids_of_reference)
