"""Claims, volumes, classes and limits as the scheduler knows them, who uses what where, and what it has promised.

`version` changes with whatever may change an answer about a pod that has claims; pods without any never look here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from actors.scheduler.storage_capacity import CAPACITIES, DRIVERS, StorageCapacity
from protocols.objects import Object, labels_of
from protocols.rules.volumes import Claim, Volume, summarise_claim, summarise_volume

CLAIMS = "persistentvolumeclaims"
VOLUMES = "persistentvolumes"
CLASSES = "storageclasses.storage.k8s.io"
NODES = "csinodes.storage.k8s.io"
RESOURCES = (CLASSES, NODES, DRIVERS, CAPACITIES, VOLUMES, CLAIMS)

ZONE_LABELS = (
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
)
_ONE_POD = "ReadWriteOncePod"
T = TypeVar("T")


class Attachment(NamedTuple):
    """One volume of a CSI driver; a node has room for so many of each driver."""

    driver: str
    handle: str


class KnownVolume(NamedTuple):
    summary: Volume
    attachment: Attachment | None
    zones: tuple[tuple[str, frozenset[str]], ...]  # labels of which a node must have one of the values
    only: tuple[str, str] | None  # the label and its value, where that is all that a node must have
    kind: Hashable  # equal for volumes that differ in their names and in where they are

    def is_at(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may reach it: certain where a single label decides."""
        return self.only is None or labels.get(self.only[0]) == self.only[1]


class VolumeState:
    def __init__(self) -> None:
        self.version = 0
        self.claims: dict[str, Claim] = {}
        self.volumes: dict[str, KnownVolume] = {}
        self.classes: dict[str, Object] = {}
        self.capacity = StorageCapacity()
        self.limits: dict[str, dict[str, int]] = {}  # node -> driver -> how many
        self.lost: dict[str, bool] = {}  # claims whose volume is gone
        self.promised: dict[str, str] = {}  # volume -> the claim that gets it, as decided here
        self._of_claim: dict[str, dict[str, None]] = {}
        self._claims_on: dict[str, dict[str, None]] = {}  # volume -> claims that name it
        self._free: dict[str, dict[Hashable, dict[str, None]]] = {}  # class -> kind -> volumes
        self._users: dict[str, Counter[str]] = {}  # claim -> node -> pods
        self._on_node: dict[str, Counter[str]] = {}  # node -> claim -> pods
        self._attached: dict[str, frozenset[Attachment]] = {}  # node -> worked out when it is asked for

    # -- what the watches say -------------------------------------------------------------------------------------

    def set(self, resource: str, key: str, obj: Object | None) -> bool:
        """Says whether anything changed that matters; None: it is gone."""
        before = self._known(resource, key)
        match resource:
            case "persistentvolumeclaims":
                self._set_claim(key, obj)
            case "persistentvolumes":
                self._set_volume(key, obj)
            case "storageclasses.storage.k8s.io":
                _put(self.classes, key, obj)
                self._attached.clear()  # its driver may be another one; classes hardly ever change
            case "csidrivers.storage.k8s.io":
                self.capacity.set_driver(key, obj)
            case "csistoragecapacities.storage.k8s.io":
                self.capacity.set(key, obj)
            case _:
                _put(self.limits, key, _limits(obj) if obj is not None else None)
        changed = self._known(resource, key) != before
        self.version += changed
        return changed

    def _known(self, resource: str, key: str) -> object:
        match resource:
            case "persistentvolumeclaims":
                return self.claims.get(key), key in self.lost
            case "persistentvolumes":
                return self.volumes.get(key)
            case "storageclasses.storage.k8s.io":
                known = self.classes.get(key)
                return None if known is None else {**known, "metadata": None}
            case "csidrivers.storage.k8s.io":
                return self.capacity.counts(key)
            case "csistoragecapacities.storage.k8s.io":
                return self.capacity.known(key)
        return self.limits.get(key)

    def _set_claim(self, key: str, obj: Object | None) -> None:
        if (before := self.claims.get(key)) is not None:
            _unfile(self._claims_on, before.volume, key)
        _put(self.claims, key, summarise_claim(obj) if obj is not None else None)
        if (known := self.claims.get(key)) is not None:
            self._claims_on.setdefault(known.volume, {})[key] = None
        is_lost = obj is not None and (obj.get("status") or {}).get("phase") == "Lost"
        _put(self.lost, key, True if is_lost else None)
        self._detach(key)

    def _set_volume(self, name: str, obj: Object | None) -> None:
        before = self.volumes.get(name)
        if before is not None:
            self._unfile_volume(before)
        if obj is None:
            self.volumes.pop(name, None)
            self.promised.pop(name, None)
        else:
            known = self.volumes[name] = _known_volume(obj)
            index, value = self._filed(known)
            index.setdefault(value, {})[name] = None
            if known.summary.claim:
                self.promised.pop(name, None)  # it has come true, or somebody else was quicker
        for claim in self._claims_on.get(name, ()):
            self._detach(claim)

    def _filed(self, known: KnownVolume) -> tuple[dict[Any, dict[str, None]], Hashable]:
        volume = known.summary
        if volume.claim:
            return self._of_claim, volume.claim
        return self._free.setdefault(volume.storage_class, {}), known.kind

    def _unfile_volume(self, known: KnownVolume) -> None:
        index, value = self._filed(known)
        _unfile(index, value, known.summary.name)
        if not known.summary.claim and not index:
            del self._free[known.summary.storage_class]

    # -- what pods use --------------------------------------------------------------------------------------------

    def use(self, node: str, claims: Iterable[str]) -> None:
        for claim in claims:
            self._users.setdefault(claim, Counter())[node] += 1
            self._on_node.setdefault(node, Counter())[claim] += 1
            self._used_otherwise(node, claim)

    def release(self, node: str, claims: Iterable[str]) -> None:
        for claim in claims:
            for table, one, other in ((self._users, claim, node), (self._on_node, node, claim)):
                table[one][other] -= 1
                if not table[one][other]:
                    del table[one][other]
                if not table[one]:
                    del table[one]
            self._used_otherwise(node, claim)

    def _used_otherwise(self, node: str, claim: str) -> None:
        self._attached.pop(node, None)
        if node in self.limits or self.is_for_one_pod(claim):
            self.version += 1

    def _detach(self, claim: str) -> None:
        for node in self._users.get(claim, ()):
            self._attached.pop(node, None)

    # -- looking --------------------------------------------------------------------------------------------------

    def is_for_one_pod(self, claim: str) -> bool:
        known = self.claims.get(claim)
        return known is not None and _ONE_POD in known.access_modes

    def is_used(self, claim: str) -> bool:
        return claim in self._users

    def reserved(self, claim: str) -> list[Volume]:
        return [self.volumes[name].summary for name in self._of_claim.get(claim, ())]

    def free(self, storage_class: str) -> list[Volume]:
        return [known.summary for alike in self.free_by_kind(storage_class) for known in alike]

    def free_by_kind(self, storage_class: str) -> list[list[KnownVolume]]:
        """The free volumes, together those of one kind: what suits a claim is asked once for each."""
        kinds = self._free.get(storage_class, {}).values()
        return [[self.volumes[name] for name in names] for names in kinds]

    def attachment(self, claim: str) -> Attachment | None:
        """The volume behind a claim, or the one that its class's driver will make."""
        known = self.claims.get(claim)
        if known is None:
            return None
        if known.volume:
            volume = self.volumes.get(known.volume)
            return volume.attachment if volume is not None else None
        provisioner = (self.classes.get(known.storage_class) or {}).get("provisioner")
        return Attachment(provisioner, claim) if provisioner else None

    def attached(self, node: str) -> frozenset[Attachment]:
        """What the pods of a node use."""
        found = self._attached.get(node)
        if found is None:
            attachments = (self.attachment(claim) for claim in self._on_node.get(node, ()))
            found = self._attached[node] = frozenset(each for each in attachments if each is not None)
        return found

    # -- promises -------------------------------------------------------------------------------------------------

    def promise(self, volume: str, claim: str) -> None:
        self.promised[volume] = claim
        self.version += 1

    def take_back(self, volume: str, claim: str) -> None:
        if self.promised.get(volume) == claim:
            del self.promised[volume]
            self.version += 1


def _known_volume(obj: Object) -> KnownVolume:
    source = (obj.get("spec") or {}).get("csi")
    labels = labels_of(obj)
    zones = tuple((key, frozenset(labels[key].split("__"))) for key in ZONE_LABELS if key in labels)
    attachment = Attachment(source.get("driver") or "", source.get("volumeHandle") or "") if source else None
    volume = summarise_volume(obj)
    only = _one_value(volume.affinity) if volume.affinity is not None else None
    return KnownVolume(volume, attachment, zones, only, _kind_of(volume))


def _kind_of(volume: Volume) -> Hashable:
    """All of it that decides whether it suits a claim, but its class and whose it is."""
    labels = frozenset(volume.labels.items())
    what = (volume.size, volume.access_modes, volume.volume_mode, volume.attributes_class)
    return (*what, labels, volume.phase, volume.deleting)


def _one_value(selector: Mapping[str, Any]) -> tuple[str, str] | None:
    """The label and its value, where that is all that a NodeSelector asks for."""
    match selector:
        case {"nodeSelectorTerms": [{"matchExpressions": [{"key": key, "operator": "In", "values": [value]}], **rest}]}:
            return None if rest.get("matchFields") else (key, value)
    return None


def _limits(node: Object) -> dict[str, int] | None:
    """None where nothing is limited."""
    drivers = (node.get("spec") or {}).get("drivers") or ()
    counts = {each["name"]: (each.get("allocatable") or {}).get("count") for each in drivers}
    return {name: int(count) for name, count in counts.items() if count is not None} or None


def _put(table: dict[str, T], key: str, value: T | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _unfile(index: dict[Any, dict[str, None]], value: Hashable, name: str) -> None:
    filed = index[value]
    del filed[name]
    if not filed:
        del index[value]
