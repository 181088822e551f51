from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ApiConfig(AppConfig):
    name = "fleetcontrol.api"
    label = "api"
    verbose_name = "API"

    def ready(self) -> None:
        from fleetcontrol.api import duties
        from fleetcontrol.audit import words
        from fleetcontrol.duties import register
        from fleetcontrol.people import owned

        owned.register("api_clients")
        register(duties.erase_kept_answers)
        words.register(
            phrases={
                "client.add": _("added the API client %(target)s"),
                "client.change": _("changed the API client %(target)s: %(fields)s"),
                "client.replace_secret": _("gave the API client %(target)s a new secret"),
                "client.stop_former": _("stopped the former secret of the API client %(target)s"),
                "client.revoke": _("revoked the API client %(target)s"),
            },
            areas={
                "client": _("API Clients"),
            },
        )
