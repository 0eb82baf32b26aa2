SECRET_KEY = "only for the benchmark"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.empty.urls"
MIDDLEWARE: list[str] = []
INSTALLED_APPS: list[str] = []
USE_I18N = False
