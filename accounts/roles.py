"""Roles and what each may do. Roles of one person add up."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    CONSULTANT = "consultant", _("Consultant")
    RESEARCHER = "researcher", _("Researcher")
    TRUST_ADMINISTRATOR = "trust_administrator", _("Trust administrator")
    ADMINISTRATOR = "administrator", _("Administrator")


CAPABILITIES: dict[str, frozenset[str]] = {
    Role.CONSULTANT: frozenset({"read_studies", "upload", "run", "share", "protocols"}),
    Role.RESEARCHER: frozenset({"research"}),
    # People of their own trust only.
    Role.TRUST_ADMINISTRATOR: frozenset({"administer_trust"}),
    Role.ADMINISTRATOR: frozenset({"administer"}),
}

#: Roles a visitor may ask for; administrators are made by administrators.
REQUESTABLE = (Role.CONSULTANT, Role.RESEARCHER)
#: Roles that two administrators give together.
APPOINTED = (Role.TRUST_ADMINISTRATOR, Role.ADMINISTRATOR)


def roles_with(capability: str) -> list[str]:
    return [str(role) for role, held in CAPABILITIES.items() if capability in held]
