from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AuditConfig(AppConfig):
    name = "fleetcontrol.audit"
    label = "audit"
    verbose_name = _("Audit history")

    def ready(self) -> None:
        from fleetcontrol import health as operators
        from fleetcontrol import startup
        from fleetcontrol.audit import duties, health, keys, words
        from fleetcontrol.duties import register

        startup.register(keys.require_keys, keys.warn_of_weak_keys)
        operators.require(health.keys_that_fit)
        operators.watch(health.watch_keys, health.watch_seals)
        register(duties.seal_audit, duties.retire_audit)
        words.register(
            phrases={
                "audit.adopt_head": _("went on from another end of the audit history: %(after)s"),
                "audit.export": _("exported the audit history"),
                "audit.retire": _("deleted %(before)s audit events whose time to be kept was over"),
                "secret.reseal": _("sealed the secrets with the newest key: %(target)s"),
            },
            value_fields={
                "audit.adopt_head": "reason",
                "audit.retire": "events",
            },
            areas={
                "audit": _("Audit history"),
            },
            fields={"events": _("events"), "head": _("head"), "reason": _("reason")},
            values={"replaced": _("replaced")},
        )
