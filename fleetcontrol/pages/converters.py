"""Parts of addresses: what is not of the form of an id is no address at all, and never reaches the database."""

from django.urls import register_converter


class UlidConverter:
    regex = "[0-9A-HJKMNP-TV-Z]{26}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(UlidConverter, "ulid")
