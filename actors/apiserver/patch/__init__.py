"""The four ways to patch an object, and the record of who set which of its fields (`metadata.managedFields`)."""

from actors.apiserver.patch.dispatch import apply_patch, touches
from actors.apiserver.patch.track import track_update

__all__ = ["apply_patch", "touches", "track_update"]
