#!/bin/sh
# The checks that need a database; check.sh gives them an empty one.
set -u
status=0
manage() {
    echo "-- manage.py $*"
    .venv/bin/python manage.py "$@" || status=1
}

manage check --fail-level WARNING
manage makemigrations --check --dry-run
manage migrate --no-input --verbosity 0
manage openapi --check
export DJANGO_SETTINGS_MODULE=tests.settings_with_linter LOG_LEVEL=WARNING
# What functions do later it takes for what the migration does: one of them renames a partition.
manage lintmigrations --no-cache --sql-analyser postgresql --quiet ok ignore \
    --include-apps customers billing metering subscriptions --ignore-name 0002_functions_and_policies
exit $status
