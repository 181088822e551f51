"""Reads variables of the environment, each also as NAME_FILE, the path of a file that holds the value.

django-environ does the reading. This module turns a bad value into ImproperlyConfigured with a sentence that names the
variable, which manage.py prints without a traceback, and builds Django's settings from some values.
"""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

from fleetcontrol.postgres.served.base import Connection
from fleetcontrol.postgres.server import NAME

STARTTLS_PORT = 587
LEAST_LENGTH, LEAST_DIFFERENT = 32, 10  # characters of a key
_TRUE, _FALSE = ("true", "on", "yes", "1"), ("false", "off", "no", "0", "")


class _Variables(FileAwareMapping):  # type: ignore[misc]  # the library has no types
    def __getitem__(self, name: str) -> str:
        """The value, without the line break at the end of a file."""
        try:
            return str(super().__getitem__(name)).strip()
        except OSError as error:
            words = f"{name}_FILE names a file that cannot be read: {error.filename}: {error.strerror}."
            raise ImproperlyConfigured(words) from None


class Environment(environ.Env):  # type: ignore[misc]  # the library has no types
    """environ.Env that raises ImproperlyConfigured on a bad value."""

    ENVIRON = _Variables()

    def get_value(self, var: str, cast: Any = None, *args: Any, **options: Any) -> Any:
        if cast is bool and (value := self.ENVIRON.get(var, "").lower()) not in _TRUE + _FALSE:
            raise ImproperlyConfigured(f"{var} must be true or false, not {value}.")
        if var not in self.ENVIRON:
            return super().get_value(var, cast, *args, **options)
        # Not by the library, which takes a value that begins with $ for the name of another variable.
        value = self.ENVIRON[var]
        if cast is list:
            return [part.strip() for part in value.split(",") if part.strip()]
        try:
            return self.parse_value(value, cast)
        except ValueError:
            raise ImproperlyConfigured(f"{var} must be a whole number, not {value}.") from None


def database(env: Environment, variable: str, url: str) -> dict[str, Any]:
    """Django's settings for the PostgreSQL database at `url`, the value of this variable."""
    if not url.startswith(("postgres://", "postgresql://")):
        raise ImproperlyConfigured(
            f"{variable} must start with postgres://: FleetControl needs PostgreSQL 15 or newer."
        )
    try:
        config: dict[str, Any] = env.db_url_config(url)
    except (ValueError, environ.ImproperlyConfigured):
        raise ImproperlyConfigured(
            f"{variable} is not an address of a PostgreSQL database. "
            "It looks like postgres://user:password@host:5432/fleetcontrol."
        ) from None
    # The folder of a socket arrives as an option, but dbshell reads it from HOST.
    config["HOST"] = config.get("OPTIONS", {}).pop("host", config["HOST"])
    config["ENGINE"] = "fleetcontrol.postgres.served"
    return _with_pool(env, config)


def replica_database(env: Environment, variable: str, url: str) -> dict[str, Any]:
    """Django's settings of a replica, for whose silence nobody waits long; what the address says itself counts first.

    Without a pool, which would wait for a server that is away. Exports are few, and each may connect.
    """
    config = database(env, variable, url)
    options = {name: value for name, value in config.get("OPTIONS", {}).items() if name != "pool"}
    return {**config, "OPTIONS": {**_REPLICA_PATIENCE, **options}}


# Seconds to connect; and a connection over which nothing comes is given up after about 20 seconds.
_REPLICA_PATIENCE = {"connect_timeout": 2, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3}


def embedded_database(env: Environment, folder: Path, *, durable: bool = True) -> dict[str, Any]:
    """Django's settings for the embedded PostgreSQL in this folder, which starts with the first connection.

    Without `durable`, writing is faster and a crash of the machine may lose the data.
    """
    return _with_pool(
        env,
        {
            "ENGINE": "fleetcontrol.postgres.backend",
            "NAME": NAME,
            "USER": NAME,
            "PORT": "5432",
            "EMBEDDED": {"folder": folder, "durable": durable},
        },
    )


def _with_pool(env: Environment, config: dict[str, Any]) -> dict[str, Any]:
    """Add the pool of connections that a process keeps open. wsgi.py asks for one, commands do not.

    Whoever waits for a connection asks every half second whether the server answers at all. The pool gives up after a
    second and tries again when it is asked: by itself it would wait longer and longer for a server that is back.
    """
    if size := env.int("DATABASE_POOL", default=0):
        pool = {"min_size": 1, "max_size": size, "timeout": 0.5, "reconnect_timeout": 1, "connection_class": Connection}
        config["OPTIONS"] = {"connect_timeout": 2, **config.get("OPTIONS", {}), "pool": pool}
    return {**config, "CONN_HEALTH_CHECKS": True}


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys from the environment or from files in `folder`. A missing file is made on first use if `may_make`."""

    env: Environment
    folder: Path
    may_make: bool

    def __call__(self, name: str, meaning: str, *, needed: bool = True) -> str:
        """The value of a key. Empty if the key is not set and not `needed` by every process."""
        value: str = self.env.str(name, default="").strip()
        if value:
            return value
        file = self.folder / name
        if not file.exists() and not self.may_make:
            if not needed:
                return ""
            raise ImproperlyConfigured(
                f"{name} is not set. It is {meaning}; set {name}, or {name}_FILE to the path of a file that holds it."
            )
        try:
            if not file.exists():
                self._make(file)
            return file.read_text().strip()
        except OSError as error:
            raise ImproperlyConfigured(
                f"{name} cannot be kept in {file}: {error.strerror}. Mend that, or set {name}."
            ) from None

    def _make(self, file: Path) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with NamedTemporaryFile("w", dir=self.folder) as new_file:  # of mode 600
            new_file.write(secrets.token_urlsafe(48))
            new_file.flush()
            os.fsync(new_file.fileno())
            # Of two processes that start at once, one makes the key and the other never reads half of it.
            with suppress(FileExistsError):
                os.link(new_file.name, file)


def ring(name: str, value: str) -> list[str]:
    """Several keys, newest first, with commas or line breaks between them. Raises ImproperlyConfigured."""
    keys = [part.strip() for part in re.split(r",\s*[\r\n]+|[\r\n]+\s*|,", value.strip())]
    if not all(keys):
        raise ImproperlyConfigured(f"{name} holds an empty key. Write the keys with commas between them, newest first.")
    if any(re.search(r"\s", key) for key in keys):
        raise ImproperlyConfigured(
            f"{name} holds a key with a blank in it. Write the keys with commas or line breaks between them, newest "
            "first, and none inside a key."
        )
    return keys


def host_and_port(text: str) -> tuple[str, str]:
    """A host of ALLOWED_HOSTS or PUBLIC_URL in its two parts; the port is "" if it is not named."""
    found = re.fullmatch(r"(\*|\.?[\w-]+(?:\.[\w-]+)*\.?|\[[0-9a-fA-F:.]+\])(?::([1-9][0-9]{0,4}))?", text)
    if found is None:
        raise ImproperlyConfigured(
            f"ALLOWED_HOSTS must be names such as fleet.example.com or fleet.example.com:8443, not {text}."
        )
    return found[1].lower().removesuffix("."), found[2] or ""


def at_least_one(name: str, number: int) -> int:
    """The number that the variable holds, which is from 1 to 10,000."""
    if not 1 <= number <= 10_000:
        raise ImproperlyConfigured(f"{name} must be a whole number from 1 to 10000, not {number}.")
    return number


def is_strong(key: str) -> bool:
    """Whether a key is long and mixed enough not to be guessed."""
    return len(key) >= LEAST_LENGTH and len(set(key)) >= LEAST_DIFFERENT


def require_good_keys(rings: Mapping[str, Sequence[str]]) -> None:
    """Raise ImproperlyConfigured if the newest key of a ring is weak, or if two rings share a key.

    `rings` maps the name of a setting to its keys, newest first. Older ones only have to open what they sealed.
    """
    make = "Make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
    for name, keys in rings.items():
        if keys and not is_strong(keys[0]):
            which = f"The first of {name}" if len(keys) > 1 else name
            raise ImproperlyConfigured(
                f"{which} is too weak: a key has {LEAST_LENGTH} characters or more, {LEAST_DIFFERENT} of them "
                f"different. {make}"
            )
    for one, other in combinations(rings, 2):
        if set(rings[one]) & set(rings[other]):
            raise ImproperlyConfigured(f"{one} and {other} hold the same key, and each needs its own. {make}")


def mailer(env: Environment) -> dict[str, Any]:
    """Django's settings for outgoing email: the server of EMAIL_URL, else the console."""
    if not env.str("EMAIL_URL", default=""):
        return {"BACKEND": "django.core.mail.backends.console.EmailBackend"}
    try:
        email = env.email_url("EMAIL_URL")
        scheme = urlsplit(env.str("EMAIL_URL")).scheme
    except (KeyError, ValueError, environ.ImproperlyConfigured):
        raise ImproperlyConfigured(
            "EMAIL_URL is not an address of a mail server. It looks like smtp+tls://user:password@host:587."
        ) from None
    if scheme == "smtps" and email["EMAIL_PORT"] == STARTTLS_PORT:
        raise ImproperlyConfigured(
            f"EMAIL_URL with smtps:// means TLS from the start, and port {STARTTLS_PORT} begins without: "
            f"write smtp+tls:// for port {STARTTLS_PORT}, or smtps:// with the "
            "port that the mail server names for TLS, usually 465."
        )
    options = {
        "host": email["EMAIL_HOST"],
        "port": email["EMAIL_PORT"],
        "username": email["EMAIL_HOST_USER"],
        "password": email["EMAIL_HOST_PASSWORD"],
        "use_tls": email.get("EMAIL_USE_TLS", False) and scheme != "smtps",
        "use_ssl": email.get("EMAIL_USE_SSL", False) or scheme == "smtps",
        "timeout": 10,
    }
    return {"BACKEND": email["EMAIL_BACKEND"], "OPTIONS": options}


def syslog(address: str) -> str:
    """The value of AUDIT_HEAD_SYSLOG: the path of syslog's socket, or host:port, or "" for none."""
    if address and not re.fullmatch(r"/\S+|[^\s:/]+:[0-9]{1,5}", address):
        raise ImproperlyConfigured(f"AUDIT_HEAD_SYSLOG must be a socket such as /dev/log, or host:port, not {address}.")
    return address


def head_webhook(address: str) -> str:
    """The value of AUDIT_HEAD_WEBHOOK: an https address, or "" for none."""
    if address and not re.fullmatch(r"https://[^/?#\s@]+(/[^\s#]*)?", address):
        raise ImproperlyConfigured(
            "AUDIT_HEAD_WEBHOOK must be an address such as https://log.example.com/fleetcontrol."
        )
    return address


def quickstart_address(folder: Path) -> str:
    """Where the last `manage.py quickstart` of this folder runs or ran, so that other commands print its links."""
    try:
        return quickstart_address_file(folder).read_text().strip()
    except OSError:
        return ""


def quickstart_address_file(folder: Path) -> Path:
    return folder / "address"


def time_zone(env: Environment) -> str:
    """The time zone in which people read times."""
    name: str = env.str("TIME_ZONE", default="Europe/Berlin")
    try:
        ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise ImproperlyConfigured(f"TIME_ZONE must be a name such as Europe/Berlin, not {name}.") from None
    return name


def ports(name: str, texts: list[str]) -> list[int]:
    """The TCP ports that a variable lists, such as 443,8443."""
    if not texts or not all(re.fullmatch("[0-9]{1,5}", text) and 0 < int(text) < 65536 for text in texts):
        raise ImproperlyConfigured(f"{name} must be ports from 1 to 65535, such as 443,8443, not {','.join(texts)}.")
    return [int(text) for text in texts]


def openid_connect(env: Environment) -> dict[str, Any]:
    """allauth's settings for the provider OIDC_ISSUER. {} if there is none."""
    if not env.str("OIDC_ISSUER", default=""):
        return {}
    if not re.fullmatch(r"https?://[^/?#\s\[\]@]+(/[^?#\s]*)?", env.str("OIDC_ISSUER")):
        raise ImproperlyConfigured("OIDC_ISSUER must be an address such as https://login.example.com/realms/fleet.")
    for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"):
        if not env.str(name, default=""):
            raise ImproperlyConfigured(f"{name} is not set. OIDC_ISSUER is, and sign-in through it needs both.")
    return {
        "provider_id": "oidc",
        "name": env.str("OIDC_NAME", default="OpenID Connect"),
        "client_id": env.str("OIDC_CLIENT_ID"),
        "secret": env.str("OIDC_CLIENT_SECRET"),
        "settings": {"server_url": env.str("OIDC_ISSUER").rstrip("/"), "oauth_pkce_enabled": True},
    }


def origin_of(address: str) -> str:
    """Scheme and host of an address, as a content-security policy names them."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
