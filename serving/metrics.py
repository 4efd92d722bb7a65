"""What /metrics tells beside BentoML's own figures; several workers are summed by prometheus_client."""

from prometheus_client import Counter, Gauge, Histogram

PREDICTIONS = Counter("ferline_predictions", "Answers given.", ["version", "answer"])
UNCERTAIN = Counter("ferline_uncertain", "Answers whose confidence lies below the model's threshold.", ["version"])
CONFIDENCE = Histogram(
    "ferline_confidence", "Highest probability of an answer.", ["version"], buckets=[k / 10 for k in range(2, 11)]
)
BATCH = Histogram("ferline_batch_size", "Faces answered in one run of the model.", buckets=[1, 2, 4, 8, 16, 32, 64])
REFUSED = Counter("ferline_refused", "Requests answered with an error.", ["status", "kind"])
SERVED = Gauge(
    "ferline_model_served", "1 for the version that stands behind an alias.", ["version", "alias"],
    multiprocess_mode="livemax",
)  # fmt: skip
SWAPS = Counter("ferline_swaps", "Models exchanged while serving.")
FAILED_SWAPS = Counter("ferline_failed_swaps", "Versions that could not be loaded or failed their examples.")
UNLOGGED = Counter("ferline_unlogged", "Predictions that were answered and could not be logged.")
WAITING = Gauge("ferline_log_waiting", "Predictions that the store does not hold yet.", multiprocess_mode="mostrecent")
LAG = Gauge("ferline_log_lag_seconds", "Age of the oldest of them.", multiprocess_mode="mostrecent")
SHADOWS_DROPPED = Counter("ferline_shadows_dropped", "Faces that a slow challenger was not asked about.")
FEEDBACK = Counter("ferline_feedback", "Labels that came for predictions.", ["outcome"])
DRIFT = Gauge(
    "ferline_drift", "What the last run of drift-monitor found.", ["version", "figure"], multiprocess_mode="mostrecent"
)
DRIFTED = Gauge(
    "ferline_drifted",
    "1 for a check that says drift.",
    ["version", "check", "kind", "severity"],
    multiprocess_mode="mostrecent",
)
