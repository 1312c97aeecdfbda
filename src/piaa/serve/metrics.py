"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one service, in a registry of their own.

    Attributes:
        registry: for `prometheus_client.generate_latest`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "piaa_requests", "Answers by path and status", ("path", "status"), registry=self.registry
        )
        self.refused = Counter("piaa_refused", "Refused requests by reason", ("code",), registry=self.registry)
        self.images = Counter(
            "piaa_images", "Images by classifier and outcome", ("classifier", "outcome"), registry=self.registry
        )
        self.seconds = Histogram("piaa_tag_seconds", "Time of a tag request", buckets=SECONDS, registry=self.registry)
        self.batch = Histogram("piaa_batch_images", "Images of a batch", buckets=IMAGES, registry=self.registry)
        self.held = Gauge("piaa_images_held", "Images decoding, waiting or in the model", registry=self.registry)
        self.bodies = Gauge("piaa_body_bytes_held", "Bytes of request bodies reserved", registry=self.registry)
        self.reloads = Counter(
            "piaa_reloads", "Changed classifier files by outcome", ("classifier", "outcome"), registry=self.registry
        )

    def reloaded(self, name: str, well: bool) -> None:
        """Count one attempt to load a changed file."""
        self.reloads.labels(name, "loaded" if well else "kept the old one").inc()
