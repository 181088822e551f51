from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class VehiclesConfig(AppConfig):
    name = "vehicles"
    verbose_name = _("Vehicles")

    def ready(self) -> None:
        from fleetcontrol.audit import words
        from fleetcontrol.imports import importer
        from fleetcontrol.people import owned
        from vehicles.imports import VehicleImporter

        owned.register("vehicles", label=_("Vehicles"))
        importer.register(VehicleImporter)
        words.register(
            phrases={
                "vehicle.add": _("added the vehicle %(target)s"),
                "vehicle.change": _("changed %(target)s: %(fields)s"),
                "vehicle.move": _("moved %(target)s from %(before)s to %(after)s"),
                "vehicle.remove": _("removed the vehicle %(target)s"),
                "vehicle.release": _("took the unit password of %(target)s"),
            },
            value_fields={
                "vehicle.move": "credential",
            },
            areas={
                "vehicle": _("Vehicles"),
            },
        )
