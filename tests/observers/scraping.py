"""What a scrape reads of the metrics, by name and labels."""

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from claude_proxy.observers.metrics import Metrics
from claude_proxy.observers.scrape import CountsCollector, text

LAG = "claude_proxy_event_loop_lag_seconds"
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(metrics: Metrics, *others: Collector) -> Samples:
    """What a scrape reads: name and labels, without the time at which each began to count, and without the lag of
    the loop, which needs no exchange."""
    families = text_string_to_metric_families(text(CountsCollector(metrics.counted), *others).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created") and not sample.name.startswith(LAG)
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"claude_proxy_{name}", tuple(sorted(labels.items()))))
