"""What any store can do."""

from pathlib import Path
from typing import Protocol

RETRIES, PATIENT = 3, 9
"""How often a request is sent again: for a person who waits, and for work that runs by itself."""


class Store(Protocol):
    """Folders and small objects by name; a URI is the store's own followed by the name."""

    uri: str

    def put_folder(self, local: Path, name: str) -> str:
        """Store a folder under a name; a complete one of that name is kept. Returns its URI."""

    def fetch(self, uri: str, cache: Path) -> Path:
        """A local folder with the stored files, hashes checked. Raises StoreNotFound, StoreError.

        A server's are copied below `cache`, where a copy stays for 14 days after it was last asked for.
        """

    def exists(self, uri: str) -> bool:
        """Whether a complete folder, or an object, of that URI or name is there."""

    def put_bytes(self, name: str, data: bytes) -> str:
        """Write one object, replacing what was there, atomically. Returns its URI."""

    def read_bytes(self, uri: str) -> bytes:
        """One object by URI or name. Raises StoreNotFound."""

    def create(self, name: str, data: bytes) -> bool:
        """Write one object unless the name is taken; False if it was."""

    def list(self, prefix: str) -> list[str]:
        """Names of the objects below a prefix, sorted; without those of writes under way."""

    def stamps(self, prefix: str) -> dict[str, str]:
        """The same names, each with what is another where its content is."""

    def delete(self, uri: str) -> None:
        """Remove a folder or an object; what is not there is no error."""
