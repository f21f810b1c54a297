"""The events and the status of a campaign, from its machine's effects and state, and what follows from the status.
Pure."""

from __future__ import annotations

from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import Depose, Effect, Elect, ReportCandidacyEnded, ReportPrimary, Serve
from zkrpc.election.lease import Lease
from zkrpc.election.states import ElectionState
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import Epoch
from zkrpc.legible import legible
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.telemetry.events import (
    CandidacyEnded,
    Deposed,
    Elected,
    ElectionEvent,
    PrimaryChanged,
    Synchronised,
)
from zkrpc.telemetry.status import ElectionStatus


def event_of(effect: Effect, participant: Participant) -> ElectionEvent | None:
    """The event for an effect of that participant's machine; None if there is none for it."""
    service, group, instance = participant.paths.service, participant.paths.group, participant.instance
    match effect:
        case Elect(epoch=epoch):
            return Elected(service=service, group=group, instance=instance, epoch=epoch)
        case Serve(epoch=epoch):
            return Synchronised(service=service, group=group, instance=instance, epoch=epoch)
        case Depose(epoch=epoch, reason=reason):
            return Deposed(
                service=service,
                group=group,
                instance=instance,
                epoch=epoch,
                reason=reason.value,
                voluntary=reason.is_voluntary,
            )
        case ReportPrimary(record=record):
            return PrimaryChanged(
                service=service,
                group=group,
                instance=instance,
                primary="" if record is None else record.instance,
                endpoint="" if record is None else str(record.endpoint),
                epoch=None if record is None else record.epoch,
            )
        case ReportCandidacyEnded():
            return CandidacyEnded(service=service, group=group, instance=instance)
    return None


def status_of(
    paths: ElectionPaths,
    state: ElectionState,
    epoch: Epoch | None,
    lease: Lease | None,
    now: float,
    primary: PrimaryRecord | None,
    running: int,
) -> ElectionStatus:
    """The state of a campaign as a value: ``epoch`` is the one that it holds, ``running`` counts calls, ``now`` is in
    monotonic seconds."""
    return ElectionStatus(
        service=paths.service,
        group=paths.group,
        state=state.value,
        epoch=epoch,
        lease_left=None if epoch is None or lease is None else lease.left(now),
        running=running,
        primary=None if primary is None else primary.instance,
        primary_endpoint=None if primary is None else str(primary.endpoint),
        primary_epoch=None if primary is None else primary.epoch,
    )


def doubt_of(status: ElectionStatus) -> str | None:
    """Why this instance does not serve as the group's primary; None if it does. The text stays the same for as long as
    who leads does."""
    group, state = legible(status.group), ElectionState(status.state)
    match state:
        case ElectionState.PRIMARY:
            return None if status.epoch is not None else f"its lease for {group} has ended"
        case ElectionState.CLAIMING | ElectionState.CONFIRMING | ElectionState.SYNCHRONISING:
            return f"it is about to lead {group}"
        case ElectionState.DEPOSING | ElectionState.RESIGNING | ElectionState.EXITING:
            return f"it is giving {group} up"
    if status.primary is None:
        return f"it does not lead {group}, and knows of nobody who does"
    return f"it does not lead {group}; {legible(status.primary)} at {legible(status.primary_endpoint)} does"
