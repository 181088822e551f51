from django.apps import AppConfig


class HistoryConfig(AppConfig):
    name = "fleetcontrol.history"
    label = "history"
