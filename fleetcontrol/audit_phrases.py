"""The phrase of every action of the audit trail, which follows the name of who did it.

%(target)s is the object's name. %(before)s and %(after)s are the values of the field that TELLING names for the action;
%(fields)s the names of all changed fields. A test holds that no action is without words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

PHRASES: dict[str, StrOrPromise] = {
    "credential.add": gettext_lazy("added the credential %(target)s"),
    "credential.rotate": gettext_lazy("replaced the secret of %(target)s (version %(before)s → %(after)s)"),
    "credential.revert": gettext_lazy("went back to the former secret of %(target)s (version %(before)s → %(after)s)"),
    "credential.check": gettext_lazy("checked the connection of %(target)s"),
    "credential.change": gettext_lazy("changed %(target)s: %(fields)s"),
    "credential.remove": gettext_lazy("deleted the credential %(target)s"),
    "vehicle.add": gettext_lazy("added the vehicle %(target)s"),
    "vehicle.change": gettext_lazy("changed %(target)s: %(fields)s"),
    "vehicle.move": gettext_lazy("moved %(target)s from %(before)s to %(after)s"),
    "vehicle.remove": gettext_lazy("removed the vehicle %(target)s"),
    "fleet.add": gettext_lazy("created the fleet %(target)s"),
    "fleet.change": gettext_lazy("changed the fleet %(target)s: %(fields)s"),
    "member.add": gettext_lazy("made %(target)s a member (%(after)s)"),
    "member.change": gettext_lazy("changed the role of %(target)s (%(before)s → %(after)s)"),
    "member.remove": gettext_lazy("removed the member %(target)s"),
    "user.add": gettext_lazy("created the account of %(target)s"),
    "user.change": gettext_lazy("changed the account of %(target)s: %(fields)s"),
    "user.remove": gettext_lazy("removed the person %(target)s"),
    "user.sign_in": gettext_lazy("signed in (%(after)s)"),
    "user.sign_in_failed": gettext_lazy("failed to sign in as %(target)s (%(after)s)"),
    "user.sign_out": gettext_lazy("signed out"),
    "invitation.add": gettext_lazy("invited %(target)s (%(after)s)"),
    "invitation.resend": gettext_lazy("sent the invitation of %(target)s again"),
    "invitation.revoke": gettext_lazy("revoked the invitation of %(target)s"),
    "invitation.accept": gettext_lazy("accepted the invitation for %(target)s"),
    "access.refuse": gettext_lazy("was refused the page %(target)s, which needs the role %(after)s"),
    "audit.export": gettext_lazy("exported the audit history"),
    "audit.retire": gettext_lazy("deleted %(before)s audit events whose time to be kept was over"),
    "fleet.remove": gettext_lazy("deleted the fleet %(target)s"),
    "client.add": gettext_lazy("added the API client %(target)s"),
    "client.change": gettext_lazy("changed the API client %(target)s: %(fields)s"),
    "client.replace_secret": gettext_lazy("gave the API client %(target)s a new secret"),
    "client.stop_former": gettext_lazy("stopped the former secret of the API client %(target)s"),
    "client.revoke": gettext_lazy("revoked the API client %(target)s"),
    "credential.erase": gettext_lazy("erased the former secret of %(target)s"),
    "credential.lend_token": gettext_lazy("got an access token of %(target)s"),
    "credential.release": gettext_lazy("took the secret of %(target)s"),
    "vehicle.release": gettext_lazy("took the unit password of %(target)s"),
    "secret.reseal": gettext_lazy("sealed the secrets with the newest key: %(target)s"),
    "webhook.set_up": gettext_lazy("set up the webhook %(target)s"),
    "webhook.remove": gettext_lazy("removed the webhook %(target)s"),
}
TELLING = {
    "credential.rotate": "version",
    "credential.revert": "version",
    "vehicle.move": "credential",
    "member.add": "role",
    "member.change": "role",
    "invitation.add": "role",
    "access.refuse": "role",
    "audit.retire": "events",
    "user.sign_in": "method",
    "user.sign_in_failed": "method",
}
