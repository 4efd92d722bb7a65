"""MLflow's webhooks: a moved alias is told instead of found at the next look. Signed as Standard Webhooks are."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping

from components.errors import RequestError

TOLERANCE_SECONDS = 300
"""Older deliveries are refused, so that a caught one cannot be sent again later."""


def check_signature(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> None:
    """Raises RequestError 401 unless MLflow signed this body with the secret within the last five minutes."""
    delivery, stamp = headers.get("x-mlflow-delivery-id", ""), headers.get("x-mlflow-timestamp", "")
    signed = f"{delivery}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()
    if not hmac.compare_digest(expected.encode(), headers.get("x-mlflow-signature", "").encode()):
        raise RequestError(401, "the signature is not that of FERLINE_SERVE_WEBHOOK_SECRET.")
    if not stamp.isdigit() or abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_SECONDS:
        raise RequestError(401, f"the delivery is older than {TOLERANCE_SECONDS} seconds.")
