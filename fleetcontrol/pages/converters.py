"""Path converters. A text that does not look like an id matches no address and never reaches the database."""


class UlidConverter:
    """`<ulid:pk>`."""

    regex = "[0-9A-HJKMNP-TV-Z]{26}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
