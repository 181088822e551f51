from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps
from django.urls import register_converter


class PagesConfig(AppConfig):
    name = "fleetcontrol.pages"
    label = "pages"
    default = True

    def ready(self) -> None:
        from fleetcontrol.pages.converters import UlidConverter

        register_converter(UlidConverter, "ulid")


class AdminConfig(admin_apps.AdminConfig):
    """The Django admin with a site of our own."""

    default = False
    default_site = "fleetcontrol.pages.admin_site.Site"
