from django.apps import AppConfig
from django.core.checks import register as register_check
from django.utils.translation import gettext_lazy as _


class CredentialsConfig(AppConfig):
    name = "credentials"
    verbose_name = _("OEM credentials")

    def ready(self) -> None:
        from credentials import checks, duties
        from credentials.brands import catalogue
        from credentials.imports import CredentialImporter
        from fleetcontrol.audit import words
        from fleetcontrol.duties import register
        from fleetcontrol.imports import importer
        from fleetcontrol.pages import badges
        from fleetcontrol.people import owned

        catalogue()  # a mistake in a brand file stops the start and not the first page that shows a brand
        register_check(checks.changed_brands, deploy=True)
        owned.register("credentials", label=_("OEM Credentials"))
        badges.register("credentials:index", count=lambda fleet: fleet.credentials.needing_attention().count())
        importer.register(CredentialImporter)
        register(duties.erase_former_secrets, duties.erase_oem_tokens, duties.check_credentials, duties.send_notices)
        words.register(
            phrases={
                "credential.add": _("added the credential %(target)s"),
                "credential.rotate": _("replaced the secret of %(target)s (version %(before)s → %(after)s)"),
                "credential.report_leak": _("reported that the secret of %(target)s leaked"),
                "credential.revert": _("went back to the former secret of %(target)s (version %(before)s → %(after)s)"),
                "credential.verify": _("checked the connection of %(target)s"),
                "credential.change": _("changed %(target)s: %(fields)s"),
                "credential.remove": _("deleted the credential %(target)s"),
                "credential.erase": _("erased the former secret of %(target)s"),
                "credential.lend_token": _("got an access token of %(target)s"),
                "credential.find_secret": _("looked for a secret in %(target)s"),
                "credential.release": _("took the secret of %(target)s"),
                "webhook.set_up": _("set up the webhook %(target)s"),
                "webhook.remove": _("removed the webhook %(target)s"),
            },
            value_fields={
                "credential.rotate": "version",
                "credential.revert": "version",
            },
            areas={
                "credential": _("OEM Credentials"),
            },
            fields={"version": _("version")},
        )
