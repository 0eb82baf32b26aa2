import os

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.naive.settings"

from django.core.wsgi import get_wsgi_application  # it reads the settings

application = get_wsgi_application()
