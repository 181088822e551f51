"""`manage.py remove_person`: delete an account and replace the person's name by a pseudonym wherever it is stored."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from fleetcontrol.audit.chain import lock_chain
from fleetcontrol.audit.keys import require_audit_key
from fleetcontrol.audit.models import Actor, AuditEvent, Pseudonym
from fleetcontrol.people.addresses import known_as
from fleetcontrol.people.models import LastAdministrator, Membership, User

# Columns outside the audit trail that hold the label of whoever did something.
LABEL_COLUMNS = ("created_by", "changed_by", "added_by", "invited_by")


class Command(BaseCommand):
    help = (
        "Deletes a person with their memberships, sign-ins and second factors. In the audit trail a pseudonym takes "
        "the place of their name; the proof of the trail still holds. Run it as the owner of the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        user = User.objects.filter(email=known_as(email)).first()
        if user is None:
            raise CommandError(_("There is no person with the email %(email)s.") % {"email": email})
        try:
            with transaction.atomic():
                lock_chain()
                require_audit_key()
                pseudonym = remove(user, Actor.command("remove_person"))
        except LastAdministrator:
            raise CommandError(
                _("%(email)s is the last administrator of a fleet. Make someone else an administrator first.")
                % {"email": email}
            ) from None
        self.stdout.write(_("Removed. In the audit trail the name is now %(pseudonym)s.") % {"pseudonym": pseudonym})


def remove(user: User, actor: Actor) -> str:
    """Remove the person everywhere, in the caller's transaction. Returns the pseudonym of their current name."""
    for membership in Membership.objects.filter(user=user):
        membership.remove(actor=actor)
    AuditEvent.record(None, actor, "user.remove", user)
    events = AuditEvent.objects.order_by()
    invited = events.filter(target_kind="invitation").values_list("target_label", flat=True).distinct()
    own = [
        label for label in invited if known_as(label) == user.email
    ]  # older events hold addresses as they were typed
    as_actor = Q(actor_kind="user", actor_id=str(user.pk))
    as_target = Q(target_kind="user", target_id=str(user.pk)) | Q(target_kind="invitation", target_label__in=own)
    labels = {str(user), *events.filter(as_actor).values_list("actor_label", flat=True).distinct()}
    labels |= set(events.filter(as_target).values_list("target_label", flat=True).distinct())
    texts = Pseudonym.of([str(user), *sorted(labels - {str(user)})])
    for label, text in texts.items():
        events.filter(as_actor, actor_label=label).update(actor_label=text)
        events.filter(as_target, target_label=label).update(target_label=text)
    rename_elsewhere(user, texts)
    pseudonym = texts[str(user)]
    user.delete()
    return pseudonym


def rename_elsewhere(user: User, texts: dict[str, str]) -> None:
    """Replace the labels in columns without an id. A label that somebody else has too stays: it may be theirs."""
    others = {str(other) for other in User.objects.exclude(pk=user.pk).filter(name__in=texts)}
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.CharField) and field.name in LABEL_COLUMNS:
                for label in texts.keys() - others:
                    model._default_manager.filter(**{field.name: label}).update(**{field.name: texts[label]})
