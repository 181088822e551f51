"""People, fleets, memberships and API clients."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models, transaction
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from fleetcontrol.answers import KeptAnswer
from fleetcontrol.audit import Actor, AuditEvent, new_id
from fleetcontrol.audit_seal import AuditSeal, Pseudonym
from fleetcontrol.clients import ApiClient
from fleetcontrol.limits import Tally

__all__ = [
    "Actor",
    "ApiClient",
    "AuditEvent",
    "AuditSeal",
    "Fleet",
    "KeptAnswer",
    "Membership",
    "Pseudonym",
    "Role",
    "Tally",
    "User",
    "new_id",
]


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        return self.create_user(email, password, **{"is_staff": True, "is_superuser": True, **fields})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, who signs in by email. What they may do in a fleet is a Membership."""

    email = models.EmailField(_("email"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    language = models.CharField(
        _("language"), max_length=5, blank=True, choices=[("en", _("English")), ("de", _("German"))]
    )
    theme = models.CharField(
        _("theme"),
        max_length=5,
        blank=True,
        choices=[("", _("System")), ("light", _("Light")), ("dark", _("Dark"))],
    )
    shortcuts = models.BooleanField(_("keyboard shortcuts"), default=True)
    is_active = models.BooleanField(_("may sign in"), default=True)
    is_staff = models.BooleanField(_("may use the Django admin"), default=False)
    date_joined = models.DateTimeField(_("joined"), default=timezone.now, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    EMAIL_FIELD = "email"
    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")
        constraints = [
            models.UniqueConstraint(
                Lower("email"),
                name="user_email_unique",
                violation_error_message=_("There is a person with this email already."),
            )
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return str(self)


class Role(models.TextChoices):
    VIEWER = "viewer", _("Viewer")
    MANAGER = "manager", _("Fleet manager")
    ADMINISTRATOR = "administrator", _("Administrator")

    def covers(self, other: Role) -> bool:
        """Whether this role may do all that the other may: administrator > manager > viewer."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Fleet(models.Model):
    """An operator's fleet: the wall between one set of credentials and vehicles and all others."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("short name in addresses"), max_length=50)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    people: models.ManyToManyField[User, Membership] = models.ManyToManyField(
        User, through="Membership", related_name="fleets"
    )

    class Meta:
        verbose_name = _("fleet")
        verbose_name_plural = _("fleets")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                "name",
                name="fleet_name_unique",
                violation_error_message=_("There is a fleet of this name already."),
            ),
            models.UniqueConstraint(
                "slug",
                name="fleet_slug_unique",
                violation_error_message=_("Another fleet has this short name already."),
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def add(cls, *, name: str, actor: Actor, slug: str = "", administrator: User | None = None) -> Fleet:
        """A new fleet, with its first administrator. Raises ValidationError on a bad or taken name or slug."""
        fleet = cls(name=name.strip(), slug=slug or slugify(name.casefold())[:50])
        fleet.full_clean()
        with transaction.atomic():
            fleet.save(force_insert=True)
            AuditEvent.record(fleet, actor, "fleet.add", fleet, {"name": [None, fleet.name]})
            if administrator is not None:
                Membership.add(fleet=fleet, user=administrator, role=Role.ADMINISTRATOR, actor=actor)
        return fleet


class Membership(models.Model):
    """What one person may do in one fleet."""

    user = models.ForeignKey(User, models.CASCADE, verbose_name=_("person"), related_name="memberships")
    fleet = models.ForeignKey(Fleet, models.CASCADE, verbose_name=_("fleet"), related_name="memberships")
    role = models.CharField(_("role"), max_length=13, choices=Role)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "fleet"],
                name="membership_unique",
                violation_error_message=_("This person is a member of the fleet already."),
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return str(self.user)

    def may(self, role: Role) -> bool:
        return Role(self.role).covers(role)

    @classmethod
    def add(cls, *, fleet: Fleet, user: User, role: Role, actor: Actor) -> Membership:
        membership = cls(fleet=fleet, user=user, role=role)
        membership.full_clean()
        with transaction.atomic():
            membership.save(force_insert=True)
            AuditEvent.record(fleet, actor, "member.add", membership, {"role": [None, str(role)]})
        return membership
