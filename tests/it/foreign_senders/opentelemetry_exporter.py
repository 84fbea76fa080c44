"""OpenTelemetry's SDK for Python with its remote-write exporter, driven by tests/it/foreign_senders.rs.

In: the URL as an argument; on stdin a line a batch: "send" counts something and flushes the SDK, "again" exports the last
collection once more. Out: a line of JSON a batch: whether it was accepted, what was heard, and its samples, as the exporter
made them of what the SDK had collected.
"""

import json
import logging
import math
import sys

from opentelemetry.exporter.prometheus_remote_write import PrometheusRemoteWriteMetricsExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExportResult, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource


class Exporter(PrometheusRemoteWriteMetricsExporter):
    """The exporter, and what it did last."""

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.collected, self.said = metrics_data, ""
        self.outcome = super().export(metrics_data, timeout_millis, **kwargs)
        return self.outcome

    def _build_message(self, timeseries):
        self.samples = [
            ({label.name: label.value for label in series.labels}, sample.timestamp, repr(sample.value))
            for series in timeseries
            for sample in series.samples
        ]
        return super()._build_message(timeseries)


class Heard(logging.Handler):
    """What the exporter says in the log is all that it says of a failure."""

    def __init__(self, exporter):
        super().__init__()
        self.exporter = exporter

    def emit(self, record):
        self.exporter.said = record.getMessage()


def main():
    exporter = Exporter(endpoint=sys.argv[1])
    logging.getLogger("opentelemetry.exporter.prometheus_remote_write").addHandler(Heard(exporter))
    resource = Resource.create({"service.name": "shop", "host.name": "web-0"})
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    meter = MeterProvider(resource=resource, metric_readers=[reader]).get_meter("shop")
    requests = meter.create_counter("otel.requests", unit="1")
    queue = meter.create_up_down_counter("otel.queue")
    seconds = meter.create_histogram("otel.duration", unit="seconds")
    for command in sys.stdin:
        if command.strip() == "send":
            for path in range(20):
                requests.add(1 + path, {"path": f'/a"b\\c/{path}', "zone": "zürich-1"})
            queue.add(-0.1)
            for each in range(10):
                seconds.record(each / 7)
            reader.force_flush()
        else:
            exporter.export(exporter.collected)
        accepted = exporter.outcome is MetricExportResult.SUCCESS
        print(json.dumps({"accepted": accepted, "said": exporter.said, "samples": exporter.samples}), flush=True)


main()
