"""Reports of the monitor in the store: drift/<version>/<window>/, and which of them was the last.

drift/3/<first id>-<last id>/report.json, evidently.html
drift/latest.json     the newest report, for who shows its figures; written last
"""

from pathlib import Path

from components.drift.records import DriftReport
from components.errors import StoreNotFound
from components.store import INDEX, Store

ROOM, RECORD, PAGE = "drift", "report.json", "evidently.html"
LATEST = f"{ROOM}/latest.json"
KEPT = 1000
"""Windows whose reports stay, of all versions together: of hourly ones six weeks, 3.7 GB of pages."""


def folder_of(version: str, window: str) -> str:
    """Name of a report's folder in the store."""
    return f"{ROOM}/{version}/{window}"


def keep(store: Store, report: DriftReport, folder: Path) -> str:
    """Put a report's folder into the store, with the report in it, where the oldest make room; its URI."""
    (folder / RECORD).write_text(report.to_json())
    for old in _folders(store)[: 1 - KEPT]:
        store.delete(old)
    return store.put_folder(folder, folder_of(report.version, report.window))


def publish(store: Store, report: DriftReport) -> None:
    """Make a report the newest one."""
    store.put_bytes(LATEST, report.to_json().encode())


def newest(store: Store) -> DriftReport | None:
    """The newest report of any version."""
    try:
        return DriftReport.from_json(store.read_bytes(LATEST).decode())
    except StoreNotFound:
        return None


def earlier(store: Store, version: str, most: int) -> list[DriftReport]:
    """The newest reports of a version, oldest first; of those that lie there whole, not of one a killed run left."""
    names = store.list(f"{ROOM}/{version}/")
    whole = sorted(name.removesuffix(INDEX) for name in names if name.endswith(f"/{INDEX}"))
    return [DriftReport.from_json(store.read_bytes(f"{folder}{RECORD}").decode()) for folder in whole[-most:]]


def _folders(store: Store) -> list[str]:
    """Folders of all versions' reports, also of one that a killed run left, in the order of their windows."""
    found = {name.rpartition("/")[0] for name in store.list(f"{ROOM}/") if name != LATEST}
    return sorted(found, key=lambda folder: folder.rpartition("/")[2])


def versions(store: Store) -> list[str]:
    """Versions with reports, ascending."""
    found = {name.split("/")[1] for name in store.list(f"{ROOM}/") if name.endswith(f"/{RECORD}")}
    return sorted(found, key=lambda version: (len(version), version))
