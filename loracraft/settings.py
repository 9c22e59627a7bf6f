"""All settings in one place. Each may be set in the environment; `manage.py check` explains a wrong one.

The embedded default needs nothing but this checkout: SQLite, a Huey queue in a SQLite file of its own and an in-memory
channel layer. DATABASE_URL and REDIS_URL switch to PostgreSQL and Redis; no other code differs.
"""

import contextlib
import os
import secrets
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from huey.serializer import SignedSerializer

from loracraft import dotenv, env

BASE_DIR = Path(__file__).resolve().parent.parent
dotenv.load(BASE_DIR / ".env")
DATA_DIR = env.path("LORACRAFT_DATA", BASE_DIR / "data")
UPLOADS_DIR = DATA_DIR / "uploads"
CACHE_DIR = DATA_DIR / "cache"
MODELS_DIR = DATA_DIR / "models"
OUTPUTS_DIR = DATA_DIR / "outputs"
EXPORTS_DIR = DATA_DIR / "exports"
LOGS_DIR = DATA_DIR / "logs"
# llama.cpp's converter brings a `gguf` package of its own, so it lives beside site-packages.
CONVERTER_DIR = env.path("LORACRAFT_CONVERTER", Path(sys.prefix) / "converter")
for folder in (DATA_DIR, UPLOADS_DIR, CACHE_DIR, MODELS_DIR, OUTPUTS_DIR, EXPORTS_DIR, LOGS_DIR):
    folder.mkdir(parents=True, exist_ok=True)

DEBUG = env.flag("LORACRAFT_DEBUG", False)
PORT = env.integer("PORT", 5000, minimum=1)
HOST = env.text("HOST", "127.0.0.1")


def stored_secret_key() -> str:
    """A random key, made once and readable by this user only, for set-ups that name none."""
    file = DATA_DIR / "secret_key"
    if not file.exists():
        number, made = tempfile.mkstemp(dir=DATA_DIR, prefix="secret_key.")
        with open(number, "w") as out:
            out.write(secrets.token_urlsafe(50))
        # Whole, and that of one of the processes that begin together.
        with contextlib.suppress(FileExistsError):
            os.link(made, file)
        Path(made).unlink()
    return file.read_text().strip()


SECRET_KEY = env.text("LORACRAFT_SECRET_KEY") or stored_secret_key()
ALLOWED_HOSTS = env.words("LORACRAFT_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("LORACRAFT_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "huey.contrib.djhuey",
    "knox",
    "rest_framework",
    "loracraft",
    "accounts",
    "datasets_app",
    "rewards",
    "training",
    "evaluation",
    "exports",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    # Not in INSTALLED_APPS: only its middleware is used, and collectstatic refuses its script files.
    "django_htmx.middleware.HtmxMiddleware",
    "rewards.judge_access.middleware",
]

ROOT_URLCONF = "loracraft.urls"
ASGI_APPLICATION = "loracraft.asgi.application"

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
                "training.context_processors.shell",
            ],
        },
    }
]


def postgres(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql") or not parts.path.strip("/"):
        raise ImproperlyConfigured("DATABASE_URL must look like postgresql://user:password@host:5432/name.")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5},
    }


# IMMEDIATE is what makes SQLite wait for its turn instead of failing: a deferred transaction that
# turns into a writer gets "database is locked" at once, whatever the timeout says.
SQLITE: dict[str, object] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "db.sqlite3",
    "OPTIONS": {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    },
}
DATABASE_URL = env.text("DATABASE_URL")
DATABASES = {"default": postgres(DATABASE_URL) if DATABASE_URL else SQLITE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.text("REDIS_URL")
if REDIS_URL:
    # redis-py 8 closes a blocked read after 5 s and allows 100 connections a pool; a channel layer blocks
    # for 5 s while it is idle and needs a connection a socket.
    CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 60, "max_connections": 5000}]},
        }
    }
    HUEY_STORAGE = {"huey_class": "huey.RedisHuey", "connection": {"url": REDIS_URL}}
else:
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    HUEY_STORAGE = {"huey_class": "huey.SqliteHuey", "filename": str(DATA_DIR / "huey.sqlite3")}

WORKER_THREADS = env.integer("LORACRAFT_WORKER_THREADS", 8, minimum=2)
HUEY = {
    **HUEY_STORAGE,
    "name": "loracraft",
    "immediate": False,
    "results": False,
    # Messages are pickles: only those that we signed are opened.
    "serializer": SignedSerializer(secret=SECRET_KEY, salt="loracraft.huey"),
    # On a signal Huey would wait for running tasks for ever. jobs.children asks them to save and end.
    "consumer": {
        "workers": WORKER_THREADS,
        "worker_type": "thread",
        "max_delay": 1,
        "check_worker_health": True,
        "shutdown_timeout": 0.5,
    },
}

# Sessions
TRAINING_ENGINE = "training.engine.run"
MAX_SESSIONS_PER_WORKER = env.integer("LORACRAFT_MAX_SESSIONS", 1, minimum=1)
# The devices that sessions are given here: UUIDs of GPUs, or cpu. All GPUs if empty, the CPU if there is none.
DEVICES = env.words("LORACRAFT_DEVICES")
# Tells workers apart that would take each other for one machine; only ever added to what the machine says of itself.
PLACE = env.text("LORACRAFT_PLACE")
# After so long a waiting session counts as one priority higher, so that none waits for ever.
PRIORITY_RISES_SECONDS = env.integer("LORACRAFT_PRIORITY_RISES_HOURS", 6, minimum=1) * 3600
# Teams that began fewer sessions in this time go first.
FAIR_SECONDS = 24 * 3600
LEASE_SECONDS = env.integer("LORACRAFT_LEASE_SECONDS", 30, minimum=2)
MAX_ATTEMPTS_WITHOUT_PROGRESS = 3
STOP_SECONDS_BEFORE_TERMINATE = 60
STOP_SECONDS_BEFORE_KILL = 20
# A trainer that shows no sign of life for so long is ended and started again from its checkpoint, by what it was doing.
# It shows one at every token and layer; loading (perhaps from the hub) and rewards of others are single long waits.
STALL_SECONDS = {
    "loading": env.integer("LORACRAFT_STALL_LOADING_SECONDS", 3600, minimum=1),
    "generating": env.integer("LORACRAFT_STALL_GENERATING_SECONDS", 900, minimum=1),
    "rewarding": env.integer("LORACRAFT_STALL_REWARDING_SECONDS", 1800, minimum=1),
    "training": env.integer("LORACRAFT_STALL_TRAINING_SECONDS", 900, minimum=1),
    "saving": env.integer("LORACRAFT_STALL_SAVING_SECONDS", 900, minimum=1),
}
# A session that a full disk ended goes on when so much, and two of its checkpoints, fit again.
MIN_FREE_BYTES = env.integer("LORACRAFT_MIN_FREE_MB", 200, minimum=1) * 1024 * 1024

# An export counts as degraded when it does worse than the trained adapter by more than one of these: a share of right
# answers, a share of the mean reward (both only where the questions show the drop), nats a token. See docs/exports.md.
PARITY_PROMPTS = env.integer("LORACRAFT_PARITY_PROMPTS", 64, minimum=1)
PARITY_ACCURACY_DROP = env.number("LORACRAFT_PARITY_ACCURACY_DROP", 0.02)
PARITY_REWARD_DROP = env.number("LORACRAFT_PARITY_REWARD_DROP", 0.05)
PARITY_LOG_PROBABILITY_DROP = env.number("LORACRAFT_PARITY_LOG_PROBABILITY_DROP", 0.1)

# Limits, each named in the message that a user sees
MAX_UPLOAD_BYTES = env.integer("LORACRAFT_MAX_UPLOAD_MB", 10_240, minimum=1) * 1024 * 1024
TEAM_STORAGE_BYTES = env.integer("LORACRAFT_TEAM_STORAGE_GB", 100, minimum=1) * 1024**3
# Judges on this machine or network, as host or host:port. Public ones need no entry, only https.
JUDGE_HOSTS = env.words("LORACRAFT_JUDGE_HOSTS")
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024
FILE_UPLOAD_TEMP_DIR = UPLOADS_DIR

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_COOKIES = env.flag("LORACRAFT_HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.ApiTokenAuthentication",
        "rest_framework.authentication.BasicAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "loracraft.api.error_response",
}
REST_KNOX = {"TOKEN_TTL": None, "AUTH_HEADER_PREFIX": "Token"}

LANGUAGE_CODE = "en-gb"
TIME_ZONE = env.text("TZ", "UTC") or "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.path("LORACRAFT_STATIC", BASE_DIR / "staticfiles")
NODE_MODULES = BASE_DIR / "node_modules"
ICONS_DIR = NODE_MODULES / "@tabler" / "icons" / "icons" / "outline"
VENDOR_FILES = {
    "vendor/tabler.css": NODE_MODULES / "@tabler" / "core" / "dist" / "css" / "tabler.min.css",
    "vendor/tabler.js": NODE_MODULES / "@tabler" / "core" / "dist" / "js" / "tabler.esm.min.js",
    "vendor/highlight.js": NODE_MODULES / "@highlightjs" / "cdn-assets" / "es" / "core.min.js",
    "vendor/highlight-python.js": NODE_MODULES / "@highlightjs" / "cdn-assets" / "es" / "languages" / "python.min.js",
    "vendor/htmx.js": NODE_MODULES / "htmx.org" / "dist" / "htmx.min.js",
    "vendor/katex.js": NODE_MODULES / "katex" / "dist" / "katex.mjs",
    "vendor/tus.js": NODE_MODULES / "tus-js-client" / "dist" / "tus.min.js",
    "vendor/uplot.js": NODE_MODULES / "uplot" / "dist" / "uPlot.esm.js",
    "vendor/uplot.css": NODE_MODULES / "uplot" / "dist" / "uPlot.min.css",
}
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "loracraft.static.VendorFinder",
]
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_AUTOREFRESH = DEBUG
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "loracraft.static.StaticStorage"},
}

LOG_LEVEL = env.text("LORACRAFT_LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line"},
        "file": {
            "class": "logging.handlers.RotatingFileHandler",
            "filename": str(LOGS_DIR / "loracraft.log"),
            "maxBytes": 10_000_000,
            "backupCount": 5,
            "delay": True,
            "formatter": "line",
        },
    },
    "root": {"handlers": ["console", "file"], "level": LOG_LEVEL},
    "loggers": {
        # With a handler of its own Huey adds none, and says everything once. What a task did is in its row.
        "huey": {"handlers": ["console", "file"], "level": "WARNING", "propagate": False},
        "daphne": {"level": "WARNING"},
    },
}
