"""All sabotages."""

from __future__ import annotations

from tests.sabotage import boundary, identity, service

SABOTAGES = [*identity.SABOTAGES, *boundary.SABOTAGES, *service.SABOTAGES]
