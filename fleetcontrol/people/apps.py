from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PeopleConfig(AppConfig):
    name = "fleetcontrol.people"
    label = "people"
    verbose_name = _("People and fleets")

    def ready(self) -> None:
        from fleetcontrol import health as operators
        from fleetcontrol.audit import words
        from fleetcontrol.duties import register
        from fleetcontrol.people import duties, health, owned, sign_in_events
        from fleetcontrol.people.models import Role

        sign_in_events.connect()
        owned.register("memberships")
        register(duties.forget_sessions, duties.forget_used_codes, duties.send_mails, duties.beat_for_replica)
        operators.watch(health.watch_mail)
        words.register(
            phrases={
                "fleet.add": _("created the fleet %(target)s"),
                "fleet.change": _("changed the fleet %(target)s: %(fields)s"),
                "member.add": _("made %(target)s a member (%(after)s)"),
                "member.change": _("changed the role of %(target)s (%(before)s → %(after)s)"),
                "member.remove": _("removed the member %(target)s"),
                "user.add": _("created the account of %(target)s"),
                "user.change": _("changed the account of %(target)s: %(fields)s"),
                "user.remove_factors": _("removed every second factor of %(target)s"),
                "user.remove": _("removed the person %(target)s"),
                "user.sign_in": _("signed in (%(after)s)"),
                "user.sign_in_failed": _("failed to sign in as %(target)s (%(after)s)"),
                "user.sign_out": _("signed out"),
                "invitation.add": _("invited %(target)s (%(after)s)"),
                "invitation.resend": _("sent the invitation of %(target)s again"),
                "invitation.revoke": _("revoked the invitation of %(target)s"),
                "invitation.accept": _("accepted the invitation for %(target)s"),
                "access.refuse": _("was refused the page %(target)s, which needs the role %(after)s"),
                "fleet.remove": _("deleted the fleet %(target)s"),
            },
            value_fields={
                "member.add": "role",
                "member.change": "role",
                "invitation.add": "role",
                "access.refuse": "role",
                "user.sign_in": "method",
                "user.sign_in_failed": "method",
            },
            areas={
                "member": _("Members"),
                "invitation": _("Invitations"),
                "user": _("Sign-in and accounts"),
                "access": _("Refusals"),
                "fleet": _("Fleet settings"),
            },
            fields={
                "password": _("password"),
                "method": _("way of signing in"),
                "second_factor": _("second factor"),
                "role": _("role"),
            },
            values={
                "password": _("password"),
                "totp": _("authenticator app"),
                "webauthn": _("passkey"),
                "recovery_codes": _("recovery code"),
                "socialaccount": _("single sign-on"),
                **{str(value): label for value, label in Role.choices},
            },
        )
