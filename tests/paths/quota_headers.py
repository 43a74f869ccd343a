"""What Anthropic says of a plan in the headers of its answers, as it has been seen on the wire."""

from collections.abc import Mapping

Pairs = list[tuple[str, str]]

PREFIX = "anthropic-ratelimit-unified-"
RESET = 4102444800  # the year 2100

ALLOWED = {
    "status": "allowed",
    "reset": str(RESET),
    "representative-claim": "five_hour",
    "fallback-percentage": "0.5",
    "5h-status": "allowed",
    "5h-utilization": "0.25",
    "5h-reset": str(RESET),
    "7d-status": "allowed",
    "7d-utilization": "0.125",
    "7d-reset": str(RESET + 3600),
    "overage-status": "rejected",
    "overage-disabled-reason": "org_level_disabled",
}

WARNING = {
    **ALLOWED,
    "status": "allowed_warning",
    "5h-status": "allowed_warning",
    "5h-utilization": "0.92",
    "5h-surpassed-threshold": "0.9",
}

SPENT = {**WARNING, "status": "rejected", "5h-status": "rejected", "5h-utilization": "1.0"}

ONE_MODEL_SPENT = {
    **ALLOWED,
    "status": "rejected",
    "representative-claim": "seven_day_overage_included",
    "7d_oi-status": "rejected",
    "7d_oi-utilization": "1.02",
    "7d_oi-reset": str(RESET),
}


def headers(fields: Mapping[str, str]) -> Pairs:
    return [(PREFIX + name, value) for name, value in fields.items()]
