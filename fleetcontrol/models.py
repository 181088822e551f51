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
from fleetcontrol.import_runs import ImportPiece, ImportRun
from fleetcontrol.invitations import Invitation
from fleetcontrol.limits import Tally
from fleetcontrol.roles import Role

__all__ = [
    "Actor",
    "ApiClient",
    "AuditEvent",
    "AuditSeal",
    "Fleet",
    "ImportPiece",
    "ImportRun",
    "Invitation",
    "KeptAnswer",
    "LastAdministrator",
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


class Fleet(models.Model):
    """An operator's fleet: the wall between one set of credentials and vehicles and all others."""

    name = models.CharField(_("name"), max_length=100)
    slug = models.SlugField(_("short name in addresses"), max_length=50)
    require_second_factor = models.BooleanField(
        _("require a second factor"),
        default=False,
        help_text=_("Members can open this fleet only after they have set up an authenticator app or a passkey."),
    )
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

    def change(self, *, actor: Actor, **values: Any) -> None:
        """Change the name or whether a second factor is required. Raises ValidationError by field."""
        with transaction.atomic():
            fleet = Fleet.objects.select_for_update().get(pk=self.pk)
            before = {field: getattr(fleet, field) for field in values}
            for field, value in values.items():
                setattr(fleet, field, value)
            fleet.full_clean()
            changes = {field: [old, new] for field, old in before.items() if old != (new := values[field])}
            if changes:
                fleet.save(update_fields=list(changes))
                AuditEvent.record(fleet, actor, "fleet.change", fleet, changes)
        self.refresh_from_db()

    def admit(self, user: User, *, role: Role, actor: Actor) -> Membership:
        """Make a person a member."""
        return Membership.add(fleet=self, user=user, role=role, actor=actor)

    def remove(self, *, actor: Actor) -> None:
        """Delete the fleet with its vehicles, credentials, clients and members. Its audit trail stays."""
        with transaction.atomic():
            fleet = Fleet.objects.select_for_update().get(pk=self.pk)
            # Reverse relations, because this storey knows no vehicles; vehicles first, as they protect credentials.
            counts = {}
            for name in ("vehicles", "credentials", "api_clients", "memberships"):
                relation = getattr(fleet, name)
                counts[name] = [relation.count(), 0]
                relation.all().delete()
            AuditEvent.record(fleet, actor, "fleet.remove", fleet, counts)
            fleet.delete()


class LastAdministrator(Exception):
    """A fleet keeps one administrator who can sign in: make someone else an administrator first."""

    def __str__(self) -> str:
        return str(_("Make someone else an administrator first."))


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
            AuditEvent.record(fleet, actor, "member.add", user, {"role": [None, str(role)]})
        return membership

    def change(self, *, role: Role, actor: Actor) -> None:
        """Give another role. Raises LastAdministrator."""
        with transaction.atomic():
            membership = self._locked(stays=role == Role.ADMINISTRATOR)
            if membership.role != role:
                changes = {"role": [membership.role, str(role)]}
                membership.role = role
                membership.save(update_fields=["role"])
                AuditEvent.record(membership.fleet, actor, "member.change", membership.user, changes)
        self.refresh_from_db()

    def remove(self, *, actor: Actor) -> None:
        """Take the person out of the fleet. Raises LastAdministrator."""
        with transaction.atomic():
            membership = self._locked(stays=False)
            changes = {"role": [membership.role, None]}
            AuditEvent.record(membership.fleet, actor, "member.remove", membership.user, changes)
            membership.delete()

    def _locked(self, *, stays: bool) -> Membership:
        """This row, with its fleet locked: of two administrators who remove each other at once, one is refused."""
        fleet = Fleet.objects.select_for_update(no_key=True).get(pk=self.fleet_id)
        others = fleet.memberships.filter(role=Role.ADMINISTRATOR, user__is_active=True).exclude(pk=self.pk)
        membership = fleet.memberships.select_related("user", "fleet").get(pk=self.pk)
        if membership.role == Role.ADMINISTRATOR and not stays and not others.exists():
            raise LastAdministrator
        return membership
