"""What Prometheus reads at /metrics."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """One registry per app, so that two apps in one process do not count for each other."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter("genga_requests", "Requests answered.", ["route", "status"], registry=self._registry)
        self._seconds = Histogram("genga_request_seconds", "Time to the end of the answer.", ["route"], buckets=BUCKETS, registry=self._registry)
        self._models = Gauge("genga_model_info", "1 for each version that is served.", ["family", "version"], registry=self._registry)
        self.swaps = Counter("genga_release_swaps", "Releases taken over while serving.", registry=self._registry)
        self.refusals = Counter("genga_release_refusals", "New releases that could not be served and were refused.", registry=self._registry)

    def count(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def show_versions(self, versions: Mapping[str, str]) -> None:
        self._models.clear()
        for family, version in versions.items():
            self._models.labels(family, version).set(1)

    def text(self) -> bytes:
        return generate_latest(self._registry)
