"""OpenAPI 3.1 from the table of routes and the shapes that views declare."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema


class RouteSchema(AutoSchema):
    """Reads a view's `Operation` and its row in the table of routes."""
