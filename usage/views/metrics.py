"""/v1/metrics"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from stackbe.kernel.api import ApiView, operation
from stackbe.kernel.serializers import PageQuery
from usage.errors import MetricNotFound
from usage.serializers import MetricChange, MetricInput, MetricOutput
from usage.services import metrics


class Metrics(ApiView):
    """What an app counts."""

    @operation(query=PageQuery, output=MetricOutput, many=True)
    def get(self, request: Request) -> Response:
        """List metrics, newest first."""
        return self.page(metrics.live_metrics(self.scope), self.query())

    @operation(input=MetricInput, output=MetricOutput, status=201)
    def post(self, request: Request) -> Response:
        """Define a metric."""
        return self.reply(metrics.create_metric(self.scope, **self.parse()))


class MetricItem(ApiView):
    """One metric."""

    @operation(output=MetricOutput)
    def get(self, request: Request, metric_id: str) -> Response:
        """Return a metric."""
        return self.reply(metrics.live_metrics(self.scope).fetch(metric_id, MetricNotFound))

    @operation(input=MetricChange, output=MetricOutput)
    def patch(self, request: Request, metric_id: str) -> Response:
        """Change a metric."""
        return self.reply(metrics.update_metric(self.scope, metric_id, self.parse()))

    @operation(status=204)
    def delete(self, request: Request, metric_id: str) -> Response:
        """Archive a metric: it counts no more, and what it counted stays."""
        metrics.archive_metric(self.scope, metric_id)
        return self.reply()
