"""Settings, from environment variables. What is not here is a default of Django."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from whitenoise.compress import Compressor

from config.unfold import UNFOLD  # noqa: F401  # read by the admin's theme

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
PURSER_HOME = Path(env.str("PURSER_HOME", default=str(BASE_DIR / ".purser")))

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set SECRET_KEY, or start Purser with `make run`, which makes one.")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
PURSER_URL = env.str("PURSER_URL", default="http://127.0.0.1:8000")

INSTALLED_APPS = [
    "config.apps.ConfigConfig",
    "subscriptions.apps.SubscriptionsConfig",
    "metering.apps.MeteringConfig",
    "billing.apps.BillingConfig",
    "customers.apps.CustomersConfig",
    # Basic: it leaves the admin site to us.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "config.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

MIDDLEWARE = [
    # First: it names every request, answers the hot paths itself, and turns what escapes into a problem document.
    "config.middleware.EdgeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "config.sessions.IdleSessionMiddleware",
    "config.sessions.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.AdminEnvironmentMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    # Last, as it asks to be: it answers a login that is locked out.
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "customers.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "config.permissions.RolesBackend",
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
            ]
        },
    }
]

# --- Database: one login, one role. The web and the workers are `purser_app`, to whom row-level security applies;
# only migrations are `purser_owner` (manage.py decides by command).
DATABASE_ROLE = env.str("PURSER_DATABASE_ROLE", default="app")
_DATABASE_VARIABLE = (
    "DATABASE_OWNER_URL"
    if DATABASE_ROLE == "owner" and "DATABASE_OWNER_URL" in env.ENVIRON
    else "DATABASE_URL"
)
DATABASES = {"default": env.db_url(_DATABASE_VARIABLE, default="postgres:///purser")}
DATABASES["default"].update(CONN_MAX_AGE=env.int("CONN_MAX_AGE", default=600), CONN_HEALTH_CHECKS=True)
_DATABASE_OPTIONS = DATABASES["default"].setdefault("OPTIONS", {})
# Whoever answers people gives up in time, so that one lock or one slow query cannot take all of its threads. Workers,
# commands and migrations may wait as long as they must. (config/wsgi.py says that this is the web.)
_PATIENCE = {
    "lock_timeout": env.float("DATABASE_LOCK_TIMEOUT_SECONDS", default=10),
    "statement_timeout": env.float("DATABASE_STATEMENT_TIMEOUT_SECONDS", default=30),
}
_IS_WEB = env.bool("PURSER_IS_WEB", default=False)
#: Threads of the web share connections (customers/kernel/lanes.py).
DATABASE_LANES = env.bool("DATABASE_LANES", default=_IS_WEB)
_TIMEOUTS = [f"-c {name}={int(seconds * 1000)}" for name, seconds in _PATIENCE.items()]
_DATABASE_OPTIONS.setdefault(
    "options",
    " ".join(
        [
            f"-c role=purser_{DATABASE_ROLE} -c timezone=UTC",
            *(_TIMEOUTS if _IS_WEB else ()),
        ]
    ),
)
# Django's default forbids prepared statements. Like this they are for those who ask (customers/kernel/database.py), and
# no statement is prepared only because it came often.
_DATABASE_OPTIONS.setdefault("prepare_threshold", 1_000_000_000)

REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default=REDIS_URL)

# --- Time and language
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# --- Static files and the admin
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(PURSER_HOME / "static"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Whitenoise's own list, and source maps: half of all bytes, for developers' tools only.
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = [*Compressor.SKIP_COMPRESS_EXTENSIONS, "map"]
LOGIN_REDIRECT_URL = "admin:index"
LOGIN_URL = "admin:login"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("SECURE_COOKIES", default=False)
# Nobody gets further than to setting up a second factor without one.
SECOND_FACTOR_REQUIRED = env.bool("SECOND_FACTOR_REQUIRED", default=False)
OTP_TOTP_ISSUER = env.str("SECOND_FACTOR_ISSUER", default="Purser")
# An idle session ends after so long, and any after twelve hours.
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_MINUTES", default=120) * 60
# Single sign-on, off until there is an issuer (docs/single-sign-on.md).
OPENID_ISSUER = env.str("OPENID_ISSUER", default="")
OPENID_NAME = env.str("OPENID_NAME", default="single sign-on")
OPENID_CLIENT_ID = env.str("OPENID_CLIENT_ID", default="")
OPENID_CLIENT_SECRET = env.str("OPENID_CLIENT_SECRET", default="")
OPENID_SCOPES = env.str("OPENID_SCOPES", default="openid email profile")
OPENID_EMAIL_DOMAINS = env.list("OPENID_EMAIL_DOMAINS", default=[])
OPENID_ROLE_CLAIM = env.str("OPENID_ROLE_CLAIM", default="groups")
OPENID_ROLES = env.dict("OPENID_ROLES", default={})
if OPENID_ISSUER and not OPENID_CLIENT_ID:
    raise ImproperlyConfigured(
        "OPENID_ISSUER needs an OPENID_CLIENT_ID, and usually an OPENID_CLIENT_SECRET."
    )
# Off: a second factor is there for the day on which the provider itself is taken over.
OPENID_TRUST_SECOND_FACTOR = env.bool("OPENID_TRUST_SECOND_FACTOR", default=False)
X_FRAME_OPTIONS = "DENY"
# Ten wrong passwords for a name from one address, and that pair waits a quarter of an hour.
AXES_FAILURE_LIMIT = env.int("LOGIN_FAILURE_LIMIT", default=10)
AXES_COOLOFF_TIME = timedelta(minutes=env.int("LOGIN_LOCKOUT_MINUTES", default=15))
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "admin/purser/locked_out.html"
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
AXES_ENABLE_ADMIN = False

# How long a request for approval waits for a second person.
APPROVAL_EXPIRY_HOURS = env.int("APPROVAL_EXPIRY_HOURS", default=72)

# --- The API's edge. Names and meaning: docs/settings.md
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_MAX_BYTES = env.int("BODY_MAX_BYTES", default=1024 * 1024)
METADATA_MAX_BYTES = env.int("METADATA_MAX_BYTES", default=8 * 1024)
METADATA_MAX_KEYS = env.int("METADATA_MAX_KEYS", default=50)
# Where single entitlement checks are answered from: `database`, or `redis` with the database behind.
ENTITLEMENTS_SOURCE = env.str("ENTITLEMENTS_SOURCE", default="database")
# Ask the database once for single checks that would wait for each other.
ENTITLEMENTS_GROUPS = env.bool("ENTITLEMENTS_GROUPS", default=True)
ENTITLEMENTS_CACHE_SECONDS = env.float("ENTITLEMENTS_CACHE_SECONDS", default=2.0)
USAGE_BATCH_MAX_EVENTS = env.int("USAGE_BATCH_MAX_EVENTS", default=100)
USAGE_GROUP_COMMIT = env.bool("USAGE_GROUP_COMMIT", default=True)
USAGE_GROUP_COMMIT_LANES = env.int("USAGE_GROUP_COMMIT_LANES", default=1)
# Months that are over before usage events may be archived.
EVENT_RETENTION_MONTHS = env.int("EVENT_RETENTION_MONTHS", default=25)
EVENTS_BATCH_MAX_EVENTS = env.int("EVENTS_BATCH_MAX_EVENTS", default=1000)
RESERVATION_TTL_MAX_SECONDS = env.int("RESERVATION_TTL_MAX_SECONDS", default=30 * 24 * 3600)
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=16 * 1024 * 1024)
IMPORT_MAX_ROWS = env.int("IMPORT_MAX_ROWS", default=50_000)
# How many credits a key may move with one import; None: any. People have limits of their own (docs/approvals.md).
IMPORT_KEY_CREDITS_MAX: int | None = (
    env.int("IMPORT_KEY_CREDITS_MAX") if "IMPORT_KEY_CREDITS_MAX" in env.ENVIRON else None
)
IDEMPOTENCY_RETENTION_SECONDS = env.int("IDEMPOTENCY_RETENTION_SECONDS", default=24 * 3600)
IDEMPOTENCY_WAIT_SECONDS = env.int("IDEMPOTENCY_WAIT_SECONDS", default=5)
API_KEY_CACHE_SECONDS = env.int("API_KEY_CACHE_SECONDS", default=5)
RATE_LIMITS_PER_SECOND = {
    "entitlements": env.int("RATE_LIMIT_ENTITLEMENTS", default=1000),
    "usage": env.int("RATE_LIMIT_USAGE", default=1000),
    "other": env.int("RATE_LIMIT_OTHER", default=100),
}
RATE_LIMIT_BURST_SECONDS = env.int("RATE_LIMIT_BURST_SECONDS", default=10)

# --- Webhooks
# Every endpoint's secret is derived from it, and none is stored: changing it changes them all.
WEBHOOKS_SIGNING_KEY = env.str("WEBHOOKS_SIGNING_KEY", default=SECRET_KEY)
WEBHOOKS_ALLOW_PRIVATE = env.bool("WEBHOOKS_ALLOW_PRIVATE", default=False)
WEBHOOKS_ENDPOINT_CONCURRENCY = env.int("WEBHOOKS_ENDPOINT_CONCURRENCY", default=4)
WEBHOOKS_DISABLE_AFTER_HOURS = env.int("WEBHOOKS_DISABLE_AFTER_HOURS", default=120)
# 0 = for ever.
WEBHOOKS_RETENTION_DAYS = env.int("WEBHOOKS_RETENTION_DAYS", default=90)
WEBHOOKS_DOORBELL = env.bool("WEBHOOKS_DOORBELL", default=True)
# Who is mailed when an endpoint fails for long or is disabled.
ADMINS = [(address, address) for address in env.list("ADMINS", default=[])]
vars().update(env.email_url("EMAIL_URL", default="dummymail://"))
SERVER_EMAIL = DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", default="purser@localhost")
EMAIL_TIMEOUT = 10
# TrueType files for invoices, the regular and the bold one, with a comma between; empty: Bitstream Vera.
INVOICE_FONT = env.str("INVOICE_FONT", default="")

# --- Payments
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="https://api.stripe.com")
STRIPE_TIMEOUT_SECONDS = env.float("STRIPE_TIMEOUT_SECONDS", default=25)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["customers.api.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["customers.api.authentication.KeyHasScope"],
    "DEFAULT_PARSER_CLASSES": ["customers.api.parsers.ExactJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "customers.api.schema.EdgeSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "customers.api.pagination.NewestFirst",
    "EXCEPTION_HANDLER": "customers.api.problems.problem_from_exception",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Purser",
    "VERSION": "1",
    "DESCRIPTION": "Prepaid and postpaid credits, metering, entitlements, subscriptions and invoices.",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    # Who reads the docs has no key yet.
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "config.openapi.add_hot_operations",
        "config.openapi.add_problems",
        "config.openapi.add_webhooks",
    ],
}

# --- Logs: one JSON object a line, on standard output
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    },
    "root": {"handlers": ["stdout"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"django.server": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}
