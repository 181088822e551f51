"""All settings, read from the environment (every variable also as NAME_FILE, the path of a file that holds the value).

A missing or bad value stops the start with one sentence that names it. Without DATABASE_URL this is a trial:
FleetControl uses a PostgreSQL of its own, which starts with the first connection, and makes its keys in var/keys.
"""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.utils.csp import CSP
from django.utils.translation import gettext_lazy as _

from fleetcontrol.environment import (
    Environment,
    Keys,
    at_least_one,
    database,
    embedded_database,
    head_webhook,
    host_and_port,
    mailer,
    openid_connect,
    origin_of,
    ports,
    quickstart_address,
    replica_database,
    require_good_keys,
    ring,
    syslog,
    time_zone,
)

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"
env = Environment()


# Database

TRIAL = not env.str("DATABASE_URL", default="")  # FleetControl uses a server of its own
DATABASES = {
    "default": embedded_database(env, VAR_DIR / "postgres")
    if TRIAL
    else database(env, "DATABASE_URL", env.str("DATABASE_URL"))
}
# Exports are long, and may be seconds behind: they read here, while it is up to date (see fleetcontrol.db.replica).
EXPORT_DATABASE = "default"
if replica_url := env.str("DATABASE_REPLICA_URL", default=""):
    EXPORT_DATABASE = "replica"
    DATABASES["replica"] = replica_database(env, "DATABASE_REPLICA_URL", replica_url)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# Keys

KEYS_DIR = VAR_DIR / "keys"
# Make missing keys in a trial, and for quickstart with a DATABASE_URL (manage.py sets MAKE_KEYS for it).
key = Keys(env, KEYS_DIR, may_make=TRIAL or env.bool("MAKE_KEYS", default=False))
SECRET_KEY = key("SECRET_KEY", "the key that signs sessions")
FERNET_KEYS = ring("FERNET_KEYS", key("FERNET_KEYS", "the keys that seal secrets, newest first"))
FINGERPRINT_KEY = key("FINGERPRINT_KEY", "the key that makes fingerprints of secrets")
# Web processes do not need it: `manage.py tend` seals the audit trail and `manage.py verify_audit` verifies it.
AUDIT_KEY = key("AUDIT_KEY", "the key that seals the audit trail", needed=False)
# The newest head of the audit trail, where the owner of the database has no say.
AUDIT_HEAD_FILE = env.str("AUDIT_HEAD_FILE", default=str(VAR_DIR / ("trial-audit-head" if TRIAL else "audit-head")))
AUDIT_HEAD_SYSLOG = syslog(env.str("AUDIT_HEAD_SYSLOG", default=""))
AUDIT_HEAD_WEBHOOK = head_webhook(env.str("AUDIT_HEAD_WEBHOOK", default=""))
AUDIT_KEPT_DAYS = env.int("AUDIT_KEPT_DAYS", default=0)  # 0: for ever
# The keys that sign access tokens, newest first.
TOKEN_KEYS = ring("TOKEN_KEYS", env.str("TOKEN_KEYS")) if "TOKEN_KEYS" in env.ENVIRON else FERNET_KEYS
require_good_keys(
    {
        "SECRET_KEY": [SECRET_KEY],
        "FERNET_KEYS": FERNET_KEYS,
        "FINGERPRINT_KEY": [FINGERPRINT_KEY],
        "AUDIT_KEY": [AUDIT_KEY] if AUDIT_KEY else [],
        "TOKEN_KEYS": TOKEN_KEYS if TOKEN_KEYS is not FERNET_KEYS else [],
    }
)


# Addresses

PUBLIC_URL = env.str("PUBLIC_URL", default=quickstart_address(VAR_DIR) or "http://localhost:8000").rstrip("/")
if not re.fullmatch(r"https?://[^/?#\s\[\]@]+", PUBLIC_URL):
    raise ImproperlyConfigured("PUBLIC_URL must be the address people use, such as https://fleet.example.com.")
public = urlsplit(PUBLIC_URL)
DEBUG = env.bool("DEBUG", default=False)
STYLEGUIDE = DEBUG  # the page /styleguide/
HTTPS = public.scheme == "https"
# Names with their ports, "" for the scheme's own; see fleetcontrol.web.hosts.
KNOWN_HOST_PORTS = [host_and_port(host) for host in (public.netloc, *env.list("ALLOWED_HOSTS", default=[]))]
HOSTS_ON_ANY_PORT = ["localhost", "127.0.0.1", "[::1]"] if TRIAL else []
ALLOWED_HOSTS = [*(name for name, _port in KNOWN_HOST_PORTS), *HOSTS_ON_ANY_PORT]
USE_X_FORWARDED_HOST = False
CSRF_TRUSTED_ORIGINS = [f"{public.scheme}://{public.netloc}"]
ROOT_URLCONF = "fleetcontrol.urls"
API_URLCONF = "fleetcontrol.api_urls"
WSGI_APPLICATION = "fleetcontrol.wsgi.application"
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None


# With this as a bearer token, machines see the reasons in /health/ready and /health/.
HEALTH_TOKEN = env.str("HEALTH_TOKEN", default="")


# Applications

INSTALLED_APPS = [
    "fleetcontrol.audit",
    "fleetcontrol.people",
    "fleetcontrol.api",
    "fleetcontrol.imports",
    "credentials",
    "vehicles",
    "fleetcontrol.history",
    "fleetcontrol.operations",
    "fleetcontrol.pages",
    "fleetcontrol",
    "fleetcontrol.pages.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "django.forms",
    "django_htmx",
    "django_tasks_db",
    "lucide",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
]
MIDDLEWARE = [
    "fleetcontrol.operations.middleware.ProbeMiddleware",
    "fleetcontrol.web.address.AddressMiddleware",
    "fleetcontrol.web.logs.FlowIdMiddleware",
    "fleetcontrol.web.logs.RequestMiddleware",
    "fleetcontrol.web.hosts.HostMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "fleetcontrol.api.middleware.ApiMiddleware",
    "fleetcontrol.web.headers.ReadableMiddleware",
    "fleetcontrol.web.headers.HeadersMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "fleetcontrol.web.session_cookie.SignedSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "fleetcontrol.people.middleware.LanguageMiddleware",
    "fleetcontrol.pages.kept_input.KeptInputMiddleware",
    "fleetcontrol.people.browser.KnownBrowserMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "fleetcontrol.people.middleware.LastSeenMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "fleetcontrol.pages.resubmission.ResubmissionMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "fleetcontrol.people.middleware.MeanwhileMiddleware",
    "fleetcontrol.web.unstorable.UnstorableTextMiddleware",
    "fleetcontrol.people.middleware.GateMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "fleetcontrol.navigation.frame",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"


# API

API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=6000)  # per API client


# OEMs

FLEETCONTROL_BRANDS = env.str("FLEETCONTROL_BRANDS", default="")
# Hosts of webhooks that may be in the operator's own network. All others must be public.
FLEETCONTROL_WEBHOOK_HOSTS = [host.lower() for host in env.list("FLEETCONTROL_WEBHOOK_HOSTS", default=[])]
FLEETCONTROL_WEBHOOK_PORTS = ports(
    "FLEETCONTROL_WEBHOOK_PORTS", env.list("FLEETCONTROL_WEBHOOK_PORTS", default=["443"])
)
# The address of `manage.py demo_oem`, which then answers instead of every OEM.
FLEETCONTROL_DEMO_OEM = env.str("FLEETCONTROL_DEMO_OEM", default="")
FLEETCONTROL_DEMO_OEM_CA = env.str("FLEETCONTROL_DEMO_OEM_CA", default=str(VAR_DIR / "demo_oem" / "ca.pem"))
if FLEETCONTROL_DEMO_OEM:
    if not TRIAL or HTTPS:
        raise ImproperlyConfigured(
            "FLEETCONTROL_DEMO_OEM lets a program on this machine answer for the OEMs. It is for a trial only: "
            "unset it, or unset DATABASE_URL and use a PUBLIC_URL with http."
        )
    if not re.fullmatch(r"https://127\.0\.0\.1:[0-9]{1,5}", FLEETCONTROL_DEMO_OEM):
        raise ImproperlyConfigured(
            "FLEETCONTROL_DEMO_OEM must be what manage.py demo_oem prints, such as https://127.0.0.1:8443."
        )


# People

AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in {
        "UserAttributeSimilarityValidator": {},
        "MinimumLengthValidator": {"min_length": 10},
        "CommonPasswordValidator": {},
        "NumericPasswordValidator": {},
    }.items()
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "fleetcontrol:home"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "fleetcontrol.people.accounts.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "fleetcontrol.people.forms.LoginForm",
    "reset_password": "fleetcontrol.people.forms.ResetPasswordForm",
}
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_RATE_LIMITS = {"login": "30/m/ip", "login_failed": "10/m/ip,5/5m/key", "reset_password": "10/m/ip,3/m/key"}
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "FleetControl: "
ACCOUNT_DEFAULT_HTTP_PROTOCOL = public.scheme
CACHES = {"default": {"BACKEND": "fleetcontrol.web.throttle.TableCache"}}

MFA_ADAPTER = "fleetcontrol.people.accounts.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "authenticate": "fleetcontrol.people.factors.AuthenticateForm",
    "reauthenticate": "fleetcontrol.people.factors.ReauthenticateForm",
    "activate_totp": "fleetcontrol.people.factors.ActivateTOTPForm",
}
# A passkey counts as two factors, so it always has to verify its person by PIN, finger or face.
MFA_WEBAUTHN_USER_VERIFICATION = "required"
# Passkeys need https; browsers make an exception for localhost, and so does a trial.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
USERSESSIONS_TRACK_ACTIVITY = True

SOCIALACCOUNT_ADAPTER = "fleetcontrol.people.accounts.SocialAccountAdapter"
SOCIALACCOUNT_LOGIN_ON_GET = False
OIDC = openid_connect(env)
OIDC_SECOND_FACTOR = env.bool("OIDC_SECOND_FACTOR", default=False)  # the provider asks everybody for two factors
# Whether administrators, in their fleets, and staff, in the Django admin, need a second factor.
ADMINISTRATORS_NEED_SECOND_FACTOR = env.bool("ADMINISTRATORS_NEED_SECOND_FACTOR", default=not TRIAL)
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [OIDC] if OIDC else []}}


# Language and time

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("de", _("German"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = time_zone(env)
USE_TZ = True
FORMAT_MODULE_PATH = ["fleetcontrol.formats"]


# Files and email

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
MAILERS = {"default": mailer(env)}
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="FleetControl <fleetcontrol@localhost>")


# Protection

SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    # The form that starts OpenID Connect is redirected to the provider, and browsers check that against this list.
    "form-action": [CSP.SELF, *([origin_of(OIDC["settings"]["server_url"])] if OIDC else [])],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
SESSION_SERIALIZER = "fleetcontrol.people.sessions.SealedSerializer"
SESSION_ENGINE = "fleetcontrol.web.sessions"
SESSION_IDLE = timedelta(hours=at_least_one("SESSION_IDLE_HOURS", env.int("SESSION_IDLE_HOURS", default=24)))
SESSION_LONGEST = timedelta(days=at_least_one("SESSION_LONGEST_DAYS", env.int("SESSION_LONGEST_DAYS", default=14)))
SESSION_COOKIE_AGE = int(SESSION_IDLE.total_seconds())
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
BROWSER_COOKIE_NAME = "__Host-browser" if HTTPS else "browser"
if HTTPS:
    # Browsers accept a cookie of this name only from this host and over https, so other hosts cannot set it.
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DEFAULT_EXCEPTION_REPORTER_FILTER = "fleetcontrol.web.error_report.NoValues"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 5
MAX_UPLOAD_MB = env.int("MAX_UPLOAD_MB", default=200)


# Whom to tell of a weakness, in /.well-known/security.txt; without it there is no such file.
SECURITY_CONTACT = env.str("SECURITY_CONTACT", default="")
if SECURITY_CONTACT and not re.fullmatch(r"(mailto:[^\s@]+@|https://)\S+", SECURITY_CONTACT):
    raise ImproperlyConfigured(
        "SECURITY_CONTACT must be an address such as mailto:security@example.com or https://example.com/security."
    )


# Logs: JSON lines on standard error, or lines for people in a trial.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "fleetcontrol.web.logs.JsonLines"},
        "plain": {"()": "fleetcontrol.web.logs.Plain", "format": "%(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain" if TRIAL else "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "propagate": True},
        # At INFO it logs the addresses of webhooks, which often contain a secret.
        "httpx2": {"level": "WARNING"},
        # One line per request suits a log collector and is too much for the terminal of a trial.
        "fleetcontrol.requests": {"level": "WARNING" if TRIAL else "INFO"},
    },
}
