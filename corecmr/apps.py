"""Wiring of the project itself: its system checks and its own admin site."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class CoreConfig(AppConfig):
    name = "corecmr"
    verbose_name = "CoreCMR"

    def ready(self) -> None:
        from corecmr import checks  # noqa: F401  (registers them)


class AdminConfig(DjangoAdminConfig):
    """The admin site holds people and trusts; patients' studies are not in it."""

    default_site = "corecmr.admin.CoreAdminSite"
