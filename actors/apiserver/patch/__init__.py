"""The four ways to patch an object, and the record of who set which of its fields (`metadata.managedFields`)."""

from actors.apiserver.patch.dispatch import apply_patch, touches
from actors.apiserver.patch.managers import manager_named
from actors.apiserver.patch.track import as_sent, track_update, tracked_like

__all__ = ["apply_patch", "as_sent", "manager_named", "touches", "track_update", "tracked_like"]
