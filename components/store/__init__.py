"""Where artifacts live: a local folder, or a bucket of any S3 server.

A stored folder is immutable and trusted only when its index is there, and the index is written last:
`_index.json` holds the sha256 and size of every file. Reads check the hashes.
"""

from pathlib import Path

from components.errors import StoreError
from components.store.folders import ABANDONED_S, INDEX, UNREAD_S, sweep
from components.store.local import LocalStore
from components.store.protocol import PATIENT, RETRIES, Store
from components.store.s3 import S3Store

__all__ = [
    "ABANDONED_S",
    "INDEX",
    "PATIENT",
    "RETRIES",
    "UNREAD_S",
    "LocalStore",
    "S3Store",
    "Store",
    "open_store",
    "sweep",
]


def open_store(
    uri: str,
    *,
    endpoint: str = "",
    access_key: str = "",
    secret_key: str = "",
    region: str = "us-east-1",
    retries: int = RETRIES,
) -> Store:
    """A folder path, or s3://bucket/prefix with the server's endpoint and credentials.

    retries: how often a request is sent again to a server that does not answer; 3 take 1 second, 9 take a minute.
    """
    if "://" in uri and not uri.startswith("s3://"):
        raise StoreError(f"store {uri!r} is of no kind that is known: name a folder, or s3://bucket/prefix.")
    if not uri.startswith("s3://"):
        return LocalStore(Path(uri).expanduser().absolute())
    if not (endpoint and access_key and secret_key):
        raise StoreError(
            f"store {uri} needs FERLINE_S3_ENDPOINT, FERLINE_S3_ACCESS_KEY and FERLINE_S3_SECRET_KEY; one is empty."
        )
    return S3Store(uri, endpoint, access_key, secret_key, region, retries)
