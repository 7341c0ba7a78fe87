"""People, their trusts, what they accepted, and the record of what they did."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField
from accounts.roles import CAPABILITIES, Role, roles_with


class Trust(models.Model):
    """An NHS organisation: the owner of its studies."""

    public_id = PublicIdField()
    name = models.CharField(_("name"), max_length=120, unique=True)
    ods_code = models.CharField(
        _("ODS code"), max_length=10, blank=True, help_text=_("The organisation's code, if any.")
    )
    research_allowed = models.BooleanField(
        _("research allowed"),
        default=False,
        help_text=_("Studies may be released for research, one by one."),
    )
    mail_domains = models.TextField(
        _("mail domains"),
        blank=True,
        help_text=_("What stands after the @ in its staff's addresses, one in each line."),
    )
    require_mfa = models.BooleanField(
        _("second factor required"),
        default=False,
        help_text=_("Its people set up a second factor first, even where the site does not ask."),
    )
    partners: models.ManyToManyField[Trust, Trust] = models.ManyToManyField(
        "self",
        verbose_name=_("partner trusts"),
        symmetrical=False,
        blank=True,
        related_name="+",
        help_text=_("Trusts that it shares studies with. They are offered first."),
    )
    partners_only = models.BooleanField(
        _("shares with partners only"),
        default=False,
        help_text=_("Studies are shared with partner trusts and their people, with nobody else."),
    )

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: object, **kwargs: object) -> None:
        self.mail_domains = "\n".join(_domain_words(self.mail_domains))
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    def owns_address(self, email: str) -> bool:
        """Whether the address lies in one of the trust's mail domains, or below one."""
        domain = email.rpartition("@")[2].lower()
        return any(
            domain == own or domain.endswith("." + own) for own in _domain_words(self.mail_domains)
        )

    @classmethod
    def of_address(cls, email: str) -> Trust | None:
        """The one trust that an address belongs to; none where two claim it."""
        found = [
            trust for trust in cls.objects.exclude(mail_domains="") if trust.owns_address(email)
        ]
        return found[0] if len(found) == 1 else None


def _domain_words(text: str) -> list[str]:
    words = text.lower().replace(",", " ").split()
    return list(dict.fromkeys(word.lstrip("@.") for word in words if word.strip("@.")))


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        user = self.model(email=self.normalise(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    @staticmethod
    def normalise(email: str) -> str:
        return email.strip().lower()

    def who_may(self, capability: str, trust: Trust | None = None) -> models.QuerySet[User]:
        """The approved people one of whose roles, in ``trust`` if it is named, gives that."""
        held = models.Q(memberships__role__in=roles_with(capability))
        if trust is not None:
            held &= models.Q(memberships__trust=trust)
        return self.filter(held, status=User.Status.APPROVED, is_active=True).distinct()

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=self.normalise(username or ""))


class User(AbstractBaseUser):
    """A person. The e-mail address is the login; an approval gives access, not the account."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Waiting for approval")
        APPROVED = "approved", _("Approved")
        REFUSED = "refused", _("Refused")
        SUSPENDED = "suspended", _("Suspended")
        CLOSED = "closed", _("Closed by its owner")

    public_id = PublicIdField()
    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120)
    is_active = models.BooleanField(default=True)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING
    )
    requested_trust = models.ForeignKey(
        Trust, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_role = models.CharField(max_length=20, choices=Role.choices, blank=True)
    joined_at = models.DateTimeField(_("registered"), default=timezone.now)
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decision_reason = models.CharField(_("reason"), max_length=300, blank=True)
    professional_number = models.CharField(
        _("professional number"),
        max_length=20,
        blank=True,
        help_text=_("Of the GMC, HCPC or NMC, if you have one. It helps to tell who you are."),
    )
    invited_by = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    time_zone = models.CharField(_("time zone"), max_length=40, default="Europe/London")
    telephone = models.CharField(_("telephone"), max_length=40, blank=True)
    in_directory = models.BooleanField(_("Show me in the directory of colleagues"), default=False)
    shows_email = models.BooleanField(_("Show my email address there"), default=False)
    shows_telephone = models.BooleanField(_("Show my telephone number there"), default=False)
    mail_when_waiting = models.BooleanField(
        _("Email me when somebody waits for approval"), default=True
    )

    mail_digest = models.BooleanField(_("Email me once a day what is new"), default=False)
    digest_sent_at = models.DateTimeField(null=True, editable=False)

    objects = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar = ["name"]

    class Meta:
        ordering: ClassVar = ["email"]
        verbose_name = _("person")
        verbose_name_plural = _("people")

    def __str__(self) -> str:
        return self.name or self.email

    def save(self, *args: object, **kwargs: object) -> None:
        self.email = UserManager.normalise(self.email)
        super().save(*args, **kwargs)  # type: ignore[arg-type]

    @property
    def is_approved(self) -> bool:
        return self.is_active and self.status == self.Status.APPROVED

    @cached_property
    def held(self) -> list[Membership]:
        """The person's memberships with their trusts, asked once for the life of this object:
        that is one request, or one piece of a worker's work."""
        return list(self.memberships.select_related("trust"))

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(one.role for one in self.held)

    def trusts_where(self, capability: str) -> frozenset[int]:
        """Primary keys of the trusts in which one of the person's roles gives ``capability``."""
        return frozenset(
            one.trust_id
            for one in self.held
            if one.trust_id is not None and capability in CAPABILITIES[one.role]
        )

    def can(self, capability: str) -> bool:
        """Whether one of the person's roles gives ``capability``; never while unapproved."""
        return self.is_approved and any(capability in CAPABILITIES[role] for role in self.roles)

    @property
    def trust(self) -> Trust | None:
        """The trust the person works for; administrators of the site have none."""
        return next((one.trust for one in self.held if one.trust is not None), None)

    # Django admin asks these two; what a person may do there follows from the role alone.
    @property
    def is_staff(self) -> bool:
        return self.can("administer") or self.can("administer_trust")

    def has_module_perms(self, app_label: str) -> bool:
        if self.can("administer"):
            return app_label in {"accounts", "processing"}
        return app_label == "accounts" and self.can("administer_trust")

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """Accounts; a look at protocols, which are of sequences and tell of no patient; engines.

        Administrators of a trust see its people and the trust itself; which of them, the admin's
        own lists decide.
        """
        if self.can("administer"):
            return perm.startswith("accounts.") or perm in _OF_ADMINISTRATORS
        return perm in _OF_TRUST_ADMINISTRATORS and self.can("administer_trust")

    def has_perms(self, perms: list[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perms)


_OF_ADMINISTRATORS = frozenset(
    {
        "processing.view_protocolversion", "processing.view_enginecard",
        "processing.view_engineuse", "processing.add_engineuse", "processing.change_engineuse",
        "processing.delete_engineuse",
    }
)  # fmt: skip
_OF_TRUST_ADMINISTRATORS = frozenset(
    {
        "accounts.view_user", "accounts.change_user", "accounts.view_membership",
        "accounts.view_trust", "accounts.change_trust", "accounts.view_appointment",
    }
)  # fmt: skip


class Membership(models.Model):
    """A role of a person in a trust; administrators of the site belong to none."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    trust = models.ForeignKey(
        Trust, on_delete=models.PROTECT, related_name="memberships", null=True, blank=True
    )
    role = models.CharField(max_length=20, choices=Role.choices)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "role"], name="role_once_per_person"),
            models.CheckConstraint(
                condition=models.Q(trust__isnull=False) | models.Q(role=Role.ADMINISTRATOR),
                name="only_administrators_without_trust",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


class Policy(models.Model):
    """A version of the privacy policy or the terms; its text is a template of that version."""

    class Kind(models.TextChoices):
        PRIVACY = "privacy", _("Privacy policy")
        TERMS = "terms", _("Terms and conditions")

    kind = models.CharField(max_length=10, choices=Kind.choices)
    version = models.PositiveIntegerField()
    published_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["kind", "-version"]
        verbose_name_plural = _("policies")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["kind", "version"], name="policy_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}, version {self.version}"

    @property
    def template(self) -> str:
        return f"accounts/policies/{self.kind}-{self.version}.html"

    @classmethod
    def current(cls, kind: str) -> Policy:
        return cls.objects.filter(kind=kind, published_at__lte=timezone.now()).latest("version")

    @classmethod
    def outstanding(cls, user: User) -> list[Policy]:
        """The policies in force that ``user`` has not accepted; asked at every request."""
        accepted = Consent.objects.filter(user=user, policy=models.OuterRef("pk"))
        current = (
            cls.objects.filter(published_at__lte=timezone.now())
            .annotate(accepted=models.Exists(accepted))
            .order_by("kind", "-version")
            .distinct("kind")
        )
        return [policy for policy in current if not policy.accepted]  # type: ignore[attr-defined]


class Consent(models.Model):
    """A person accepted a version of a policy."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="consents")
    policy = models.ForeignKey(Policy, on_delete=models.PROTECT, related_name="+")
    accepted_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "policy"], name="consent_once")
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.policy}"


class Appointment(models.Model):
    """One administrator asks to make somebody an administrator; another one decides."""

    class Outcome(models.TextChoices):
        OPEN = "open", _("Waiting for a second administrator")
        CONFIRMED = "confirmed", _("Confirmed")
        DECLINED = "declined", _("Declined")

    public_id = PublicIdField()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="appointments")
    role = models.CharField(max_length=20, choices=Role.choices)
    trust = models.ForeignKey(
        Trust, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    requested_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.OPEN)
    decided_by = models.ForeignKey(
        User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "role"],
                condition=models.Q(outcome="open"),
                name="appointment_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()}"


class Interest(models.Model):
    """Somebody without an account wants to hear when the site opens to them."""

    email = models.EmailField(_("e-mail address"), unique=True)
    name = models.CharField(_("name"), max_length=120)
    organisation = models.CharField(_("organisation"), max_length=120)
    at = models.DateTimeField(_("when"), default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at"]
        verbose_name = _("register of interest")
        verbose_name_plural = _("register of interest")

    def __str__(self) -> str:
        return f"{self.name}, {self.organisation}"


class Feedback(models.Model):
    """What somebody wants the site's administrators to know. Once dealt with it is deleted."""

    by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+", verbose_name=_("by"))
    text = models.TextField(_("message"))
    at = models.DateTimeField(_("when"), default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-at"]
        verbose_name = _("feedback")
        verbose_name_plural = _("feedback")

    def __str__(self) -> str:
        return self.text[:60]


class AuditEvent(models.Model):
    """Who did what to which object. Opaque ids only: no name, no patient, no foreign key."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    actor = models.CharField(max_length=26, blank=True, db_index=True)
    verb = models.CharField(max_length=40)
    object_type = models.CharField(max_length=40, blank=True)
    object_id = models.CharField(max_length=26, blank=True, db_index=True)
    detail = models.JSONField(default=dict)
    request_id = models.CharField(max_length=32, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.verb} {self.object_type} {self.object_id}".strip()


class AuditLink(models.Model):
    """A link of the record's chain: the digest of an event and of the link before.

    The database writes it when the event's transaction commits, see ``accounts/chain.py``.
    """

    position = models.BigIntegerField(primary_key=True)
    event_id = models.BigIntegerField(unique=True)
    digest = models.CharField(max_length=64)

    class Meta:
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return f"link {self.position}"


class ApiToken(models.Model):
    """A key with which a program acts for a person, within its scopes, until a day."""

    class Scope(models.TextChoices):
        READ = "read", _("Read studies, results and runs")
        FILES = "files", _("Download files of studies")
        RUN = "run", _("Start and cancel analyses")
        RESEARCH = "research", _("Count cohorts and export tables")

    public_id = PublicIdField()
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=60)
    #: SHA-256 of the key, which is shown once and not kept.
    digest = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    used_on = models.DateField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()
