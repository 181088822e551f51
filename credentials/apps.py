from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from credentials import brands


class CredentialsConfig(AppConfig):
    name = "credentials"
    verbose_name = _("OEM credentials")

    def ready(self) -> None:
        # A mistake in a brand file stops the start and not the first page that shows a brand.
        brands.catalogue()
