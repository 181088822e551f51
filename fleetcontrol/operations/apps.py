from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "fleetcontrol.operations"
    label = "operations"
