"""drift-monitor: a window of the prediction log against the champion's reference, and the alarm."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.events import emit_event
from prefect.states import Completed

from components.drift import DriftReport, detect, read_reference, running
from components.drift.history import PAGE, earlier, folder_of, keep, publish, versions
from components.errors import DataError
from components.journal import read_window
from components.predictions import Window
from components.registry import CHAMPION, ModelVersion
from components.registry.records import read_package
from flows.artifacts import publish_page
from flows.context import artifact, drift_policy, journal, registry, settings, store, work_folder
from flows.notify import notify
from flows.outcome import MonitorOutcome, Sight
from flows.parameters import WindowParameters
from flows.tasks import can_help

EVENT = "ferline.drift.detected"


@flow(name="drift-monitor")
def drift_monitor(window: WindowParameters = WindowParameters()) -> State[MonitorOutcome]:
    """Look at a window; leave a report, and an event where the alarm is due."""
    champion = registry().find(CHAMPION)
    if champion is None:
        return _ended(MonitorOutcome("NoChampion", "", 0, 0, (), "", "no champion serves, so nothing can have drifted"))
    seen = read_task(champion, window)
    needed = drift_policy().window.rows
    if len(seen.table) < needed:
        message = f"not enough yet: {len(seen.table)} predictions of version {champion.version}, {needed} are needed"
        return _ended(MonitorOutcome("NotEnough", champion.version, len(seen.table), 0, (), "", message))
    report, uri = look_task(champion, seen)
    outcome = _judge(report, uri)
    _publish(report, outcome)
    if outcome.sight == "Alarm":
        raise_alarm(report, outcome)
    return _ended(outcome)


@task(
    name="read window", retries=3, retry_delay_seconds=[2, 10, 30], retry_condition_fn=can_help, cache_policy=NO_CACHE,
    timeout_seconds=600,
)  # fmt: skip
def read_task(champion: ModelVersion, window: WindowParameters) -> Window:
    """Predictions of the champion in the window; first what waits on this machine is brought to the store."""
    log, policy = journal(), drift_policy().window
    log.bring()
    until = _moment("until", window.until) or datetime.now(UTC)
    since = _moment("since", window.since) or _since(champion.version, until)
    return read_window(log.logbook, champion.version, since, until, policy.sample, window.last or None)


@task(
    name="look", retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=can_help, cache_policy=NO_CACHE,
    timeout_seconds=1800,
)  # fmt: skip
def look_task(champion: ModelVersion, window: Window) -> tuple[DriftReport, str]:
    """The report, and the URI of its folder; the dashboard gets its snapshot."""
    from components.drift import evidently  # 3 s, and only here

    model = artifact(champion)
    threshold = float(read_package(model)["uncertain_below"])
    reference = read_reference(model / "extra_files" / "reference.parquet", threshold)
    report = detect(reference, window, drift_policy())
    snapshot = evidently.run_evidently(reference, window, report)
    out = work_folder(folder_of(report.version, report.window))
    evidently.save_page(snapshot, out)
    store().delete(folder_of(report.version, report.window))  # the same window again, by another policy or more labels
    uri = keep(store(), report, out)
    shutil.rmtree(out)
    evidently.add_to_workspace(settings().workspace, snapshot, report.window, versions(store()))
    return report, uri


def raise_alarm(report: DriftReport, outcome: MonitorOutcome) -> None:
    """The event that an automation listens for, and a notice."""
    name = settings().model_name
    emit_event(
        event=EVENT,
        resource={"prefect.resource.id": f"ferline.drift.{name}", "prefect.resource.name": name},
        payload={
            "version": report.version, "window": report.window, "checks": list(report.alarms),
            "kinds": list(report.kinds), "running": outcome.running, "uri": outcome.report,
        },
    )  # fmt: skip
    notify(f"ferline: drift of version {report.version}", outcome.message, "warning")


def _since(version: str, until: datetime) -> datetime:
    """Where the last window of this version ended, as far back as the policy lets it."""
    edge = until - timedelta(hours=drift_policy().window.hours)
    ends = [datetime.fromisoformat(report.until) for report in earlier(store(), version, most=1)]
    return max([edge, *(end for end in ends if end <= until)])


def _moment(name: str, text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError as error:
        raise DataError(f"{name} is {text!r}; it must be a time such as 2026-11-25T00:00+00:00.") from error
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _judge(report: DriftReport, uri: str) -> MonitorOutcome:
    needed = drift_policy().window.running
    # This window's own is among them, and those of windows looked at by hand, which overlap others and do not count.
    on_end = running(report, earlier(store(), report.version, most=2 * needed + 20))
    sight: Sight = "Quiet" if not on_end else "Alarm" if on_end >= needed else "Drifted"
    found = f"{sight.lower()}: {report.rows} predictions of version {report.version}"
    said = {
        "Quiet": found,
        "Drifted": f"{found}, {', '.join(report.alarms)}",
        "Alarm": f"{found}, {on_end} drifted windows on end, now {', '.join(report.alarms)}",
    }
    return MonitorOutcome(sight, report.version, report.rows, on_end, report.alarms, uri, said[sight])


def _publish(report: DriftReport, outcome: MonitorOutcome) -> None:
    publish(store(), report)
    create_markdown_artifact(key="drift", markdown=markdown(report, outcome))
    if not outcome.report.startswith("s3://"):
        publish_page("drift-report", Path(outcome.report) / PAGE, "Evidently's report of the window")


def markdown(report: DriftReport, outcome: MonitorOutcome) -> str:
    """The checks as a table, with quality and slices below."""
    lines = [
        f"# {outcome.message}",
        "",
        f"{report.since} to {report.until}; distances on {report.drawn} of {report.rows} predictions. "
        f"The report and Evidently's page lie in {outcome.report}.",
        "",
        "| check | kind | value | drift from | verdict | rows | |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f.check} | {f.kind} | {f.value:.3g} | {f.threshold:.3g} | {_verdict(f.drifted, f.severity)} | {f.rows} | "
        f"{f.detail} |"
        for f in report.findings
    ]
    lines += ["", _quality(report)]
    if report.slices:
        lines += ["", "| tag | rows | confidence | uncertain | drifted |", "|---|---|---|---|---|"]
        lines += [
            f"| {s.tag} | {s.rows} | {s.confidence:.3f} | {s.uncertain:.1%} | {', '.join(s.drifted) or 'nothing'} |"
            for s in report.slices
        ]
    return "\n".join(lines)


def _verdict(drifted: bool, severity: str) -> str:
    return "quiet" if not drifted else f"**{severity}**"


def _quality(report: DriftReport) -> str:
    guess = report.estimate
    estimated = (
        f"Estimated from probabilities, which drift makes too high: accuracy {guess.accuracy:.3f}, macro-F1 "
        f"{guess.macro_f1:.3f}."
    )
    if report.quality is None:
        return f"Too few labels came to measure quality. {estimated}"
    q = report.quality
    return (
        f"Measured on {q.labelled} labels: accuracy {q.accuracy:.3f} ({q.accuracy_interval.low:.3f} to "
        f"{q.accuracy_interval.high:.3f}), macro-F1 {q.macro_f1:.3f} ({q.macro_f1_interval.low:.3f} to "
        f"{q.macro_f1_interval.high:.3f}), ECE {q.ece:.3f}. {estimated}"
    )


def _ended(outcome: MonitorOutcome) -> State[MonitorOutcome]:
    get_run_logger().info(outcome.message)
    return Completed(name=outcome.sight, message=outcome.message, data=outcome)
