"""What Prefect's server does by itself: start a retraining on an alarm, mark the runs of dead workers as crashed, and
let another worker go on with them.

Made by name: a second set-up changes what is there instead of adding to it.
"""

from datetime import timedelta
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, RunDeployment
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from components.errors import ModelNotFound
from flows.monitor import EVENT

RETRAINING = "retrain/on-drift"
GOES_ON = ("train-pipeline/default", "train-pipeline/nightly")
"""What goes on from its last checkpoint. A retraining does not: its cool-down has begun, and the next alarm comes."""
ON_DRIFT, ZOMBIES, TAKEOVER = (
    "ferline: retrain on drift", "ferline: crash runs of dead workers", "ferline: go on with crashed runs"
)  # fmt: skip
LOST = "Lost"
"""Name of the state of a run whose worker died, of type crashed: one whose process died by itself is `Crashed`."""
ANY = "prefect.flow-run.*"
"""A run ends under many names (Promoted, Quiet, ...): whatever it says is a sign of life."""
SILENCE = timedelta(seconds=90)
"""Without a sign of life a run counts as dead. Workers need PREFECT_FLOWS_HEARTBEAT_FREQUENCY well below it: 30."""


def make_automations() -> list[str]:
    """Make or renew them all; their names. Raises ModelNotFound where a deployment they start is missing."""
    made = (_on_drift(_deployment(RETRAINING)), _crash_zombies(), _take_over([_deployment(name) for name in GOES_ON]))
    for automation in made:
        _renew(automation)
    return [automation.name for automation in made]


def _on_drift(deployment: UUID) -> Automation:
    return Automation(
        name=ON_DRIFT,
        description="An alarm of drift-monitor starts a retraining; the flow itself keeps cool-down and daily cap.",
        trigger=EventTrigger(
            expect={EVENT},
            match={"prefect.resource.id": "ferline.drift.*"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            RunDeployment(
                source="selected",
                deployment_id=deployment,
                job_variables=None,
                parameters={
                    "trigger": {
                        "reason": _from_event(
                            "drift of version {{ event.payload.version }}: {{ event.payload.checks | join(', ') }}"
                        ),
                        "report": _from_event("{{ event.payload.uri }}"),
                    }
                },
            )
        ],
    )


def _from_event(template: str) -> dict[str, str]:
    """A value that the server fills in from the event."""
    return {"__prefect_kind": "jinja", "template": template}


def _crash_zombies() -> Automation:
    return Automation(
        name=ZOMBIES,
        description="A run whose worker died keeps its concurrency slot, and the next alarm would be cancelled.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={ANY},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name=LOST, message=f"no heartbeat for {SILENCE.seconds} s", force=True
            )
        ],
    )


def _take_over(deployments: list[UUID]) -> Automation:
    return Automation(
        name=TAKEOVER,
        description="A run whose worker died waits for another; flows/train.py ends one that is lost too often.",
        trigger=EventTrigger(
            expect={f"prefect.flow-run.{LOST}"},
            match={"prefect.resource.id": ["prefect.flow-run.*"]},
            match_related={"prefect.resource.id": [f"prefect.deployment.{id}" for id in deployments]},
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name="AwaitingRetry", message="its worker died: another one goes on",
                force=True,
            )
        ],
    )  # fmt: skip


def _deployment(name: str) -> UUID:
    with get_client(sync_client=True) as client:
        try:
            return client.read_deployment_by_name(name).id
        except ObjectNotFound as error:
            raise ModelNotFound(
                f"there is no deployment {name}: prefect --no-prompt deploy --all --prefect-file infra/prefect.yaml"
            ) from error


def _renew(automation: Automation) -> None:
    """Make it, or anew where it has changed. One that is as it should be stays: it may be counting a run's silence.

    One that somebody has disabled stays disabled.
    """
    with get_client(sync_client=True) as client:
        known = client.read_automations_by_name(automation.name)
        if len(known) == 1 and _core(known[0]) == _core(automation):
            return
        automation.enabled = all(each.enabled for each in known)
        for each in known:
            client.delete_automation(each.id)
    automation.create()


def _core(automation: AutomationCore) -> dict[str, object]:
    """What it does, without what the server adds."""
    return {
        "description": automation.description,
        "trigger": automation.trigger.model_dump(mode="json"),
        "actions": [action.model_dump(mode="json") for action in automation.actions],
    }
