"""Traps of the frameworks that no behaviour shows until it is too late."""

from __future__ import annotations

from django.conf import settings
from django.db import connection
from django.urls import get_resolver
from rest_framework.serializers import BaseSerializer, ModelSerializer

PACKAGES = ("stackbe", "webhooks", "accounts", "apikeys", "billing", "usage")


def below(kind: type) -> set[type]:
    """Return every class that derives from one, near or far."""
    return {found for child in kind.__subclasses__() for found in (child, *below(child))}


def test_no_serializer_looks_into_the_database():
    assert get_resolver().url_patterns  # all serializers are imported by now
    ours = {each for each in below(BaseSerializer) if each.__module__.startswith(PACKAGES)}

    assert len(ours) > len(PACKAGES)
    assert {each.__qualname__ for each in ours if issubclass(each, ModelSerializer)} == set()


def test_time_is_utc_here_and_in_the_database(db):
    with connection.cursor() as cursor:
        cursor.execute("show timezone")
        assert cursor.fetchone() == ("UTC",)

    assert (settings.TIME_ZONE, settings.USE_TZ) == ("UTC", True)
