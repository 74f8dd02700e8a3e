"""Bugs of volumes: who binds them, who protects them, where they are, who mounts them."""

from __future__ import annotations

from tests.planted.bug import Bug

_SCHEDULER = "tests/scheduler/test_volumes.py"
_REFERENCE = f"{_SCHEDULER}::test_every_decision_is_that_of_the_reference"
_PROVISIONER = "tests/controllers/test_directory_provisioner.py"
_KUBELET = "tests/kubelet/test_persistent_volumes.py"
_BINDER = "tests/controllers/test_persistent_volume.py"

VOLUMES = [
    Bug(
        "a disk that somebody writes may be read beside it",
        "actors/scheduler/disks.py",
        "            if alone or not disk.shared\n",
        "            if not disk.shared\n",
        "tests/scheduler/test_disks.py::test_who_may_be_beside_whom_is_as_the_reference_says",
    ),
    Bug(
        "a disk is forgotten when one of those who share it goes",
        "actors/scheduler/disks.py",
        "                if not nodes[node][0]:",
        "                if by < 0:",
        "tests/scheduler/test_disks.py::test_who_may_be_beside_whom_is_as_the_reference_says",
    ),
    Bug(
        "one volume may have all the storage that is left, whatever the driver says of its size",
        "actors/scheduler/storage_capacity.py",
        'obj.get("maximumVolumeSize") or obj.get("capacity")',
        'obj.get("capacity") or obj.get("maximumVolumeSize")',
        f"{_SCHEDULER}::test_how_much_room_there_is_decides_where_a_volume_is_made",
    ),
    Bug(
        "storage that is to be had elsewhere will do",
        "actors/scheduler/storage_capacity.py",
        "                    one_value.setdefault(key, []).append(value)",
        "                    return nodes.present",
        f"{_SCHEDULER}::test_how_much_room_there_is_decides_where_a_volume_is_made",
    ),
    Bug(
        "`why` says that a volume which is too small is elsewhere",
        "actors/scheduler/explain/volume_remedies.py",
        '    if volume.size < claim.size:\n        return f"has',
        '    if False:\n        return f"has',
        "tests/scheduler/test_why_volumes.py::test_what_would_let_it_have_its_volumes_on_a_node_is_said_and_was_tried",
    ),
    Bug(
        "`why` tries a remedy for a claim without trying it",
        "actors/scheduler/explain/trial.py",
        "if not _uses(each, pod, wanted)]",
        "if True]",
        "tests/scheduler/test_why_volumes.py::test_what_would_let_it_have_its_volumes_on_a_node_is_said_and_was_tried",
    ),
    Bug(
        "a claim that is called like a pod's own is taken for it",
        "actors/scheduler/plugins/volume_binding.py",
        "if pod is not None and claim.owner != uid_of(pod) else",
        "if False else",
        f"{_SCHEDULER}::test_a_volume_of_the_pods_own_is_waited_for_and_never_anothers",
    ),
    Bug(
        "a claim of a pod's own that is lost is not made again",
        "actors/controllers/ephemeral_volume.py",
        "            Watches(CLAIMS, pods_of_claim, ",
        "            Watches(CLAIMS, lambda claim, views: (), ",
        "tests/controllers/test_ephemeral_volume.py"
        "::test_a_claim_that_somebody_deletes_is_made_again_but_not_for_a_pod_that_is_to_go",
    ),
    Bug(
        "a claim gets the first volume that suits, not the smallest",
        "protocols/rules/volumes.py",
        "key=lambda volume: (volume.size, volume.name), default=None",
        "key=lambda volume: volume.name, default=None",
        f"{_BINDER}::test_a_claim_gets_the_smallest_volume_that_suits",
    ),
    Bug(
        "a volume of another class will do",
        "protocols/rules/volumes.py",
        "    if volume.storage_class != claim.storage_class:\n",
        "    if False:\n",
        f"{_BINDER}::test_a_claim_that_waits_says_what_for",
    ),
    Bug(
        "a new claim of an old name gets the old one's volume",
        "protocols/rules/volumes.py",
        'self.claim == claim.key and self.claim_uid in ("", claim.uid)',
        "self.claim == claim.key",
        f"{_BINDER}::test_a_volume_whose_claim_is_gone_is_released",
    ),
    Bug(
        "a claim is bound to a volume that was not asked whether it is free still",
        "actorkube/kube/carry.py",
        "await client.update_stored(resource, obj, subresource))",
        'await client.update_stored(resource, {**obj, "metadata": {**obj["metadata"], "resourceVersion": ""}}))',
        f"{_BINDER}::test_it_settles_after_any_unrest",
    ),
    Bug(
        "that no pod uses a claim is read from a view that lags",
        "actors/controllers/volume_protection.py",
        "    return [nobody, *_released(",
        "    return [*_released(",
        f"{_BINDER}::test_a_pod_that_the_view_does_not_show_yet_holds_a_claim",
    ),
    Bug(
        "an event between writes is not told",
        "actorkube/kube/carry.py",
        "            record(write)\n            return None",
        "            return None",
        f"{_BINDER}::test_a_claim_without_its_volume_is_lost",
    ),
    Bug(
        "a volume that a smaller claim of the pod gets is counted for a larger one, too",
        "actors/scheduler/volume_choice.py",
        "rows[~found[rows]] if there is None else rows[~found[rows] & ~there[rows]]",
        "rows[~found[rows]]",
        _REFERENCE,
    ),
    Bug(
        "a claim that was given to a node may be used on another",
        "actors/scheduler/volume_choice.py",
        "            fine &= _only(nodes, claim.selected_node)\n",
        "            pass\n",
        _REFERENCE,
    ),
    Bug(
        "a volume is made where its class does not allow it",
        "actors/scheduler/volume_choice.py",
        "    if not terms:\n        return nodes.present\n",
        "    if not terms or terms:\n        return nodes.present\n",
        _REFERENCE,
    ),
    Bug(
        "a volume that two pods of a node share counts twice",
        "actors/scheduler/plugins/node_volume_limits.py",
        "    more = wanted - attached\n",
        '    more = {each._replace(handle=f"{each.handle} again") for each in wanted}\n',
        _REFERENCE,
    ),
    Bug(
        "a volume of several zones is in the first",
        "actors/scheduler/volume_state.py",
        'frozenset(labels[key].split("__"))',
        'frozenset(labels[key].split("__")[:1])',
        _REFERENCE,
    ),
    Bug(
        "what is known of a pod with claims outlives a change of its volumes",
        "actors/scheduler/cycle.py",
        "version = state.volumes.version if shape.claims else 0",
        "version = 0",
        _REFERENCE,
    ),
    Bug(
        "a promised volume is promised again",
        "actors/scheduler/volume_choice.py",
        "    return [known for known in fitting if known.summary.name not in volumes.promised]\n",
        "    return fitting\n",
        f"{_SCHEDULER}::test_two_pods_of_one_turn_do_not_get_the_same_volume",
    ),
    Bug(
        "a volume whose host is gone is free on every node that has no name",
        "actors/scheduler/volume_choice.py",
        "        is_wanted[0] = False  # nodes without the label\n",
        "",
        f"{_SCHEDULER}::test_a_volume_of_a_host_is_free_there_and_nowhere_else",
    ),
    Bug(
        "volumes that differ in size are of one kind",
        "actors/scheduler/volume_state.py",
        "    what = (volume.size, volume.access_modes,",
        "    what = (0, volume.access_modes,",
        _REFERENCE,
    ),
    Bug(
        "a volume's object goes before its directory",
        "actors/controllers/directory_provisioner.py",
        "    return [request, _let_go(volume) if",
        "    return [_let_go(volume) if",
        f"{_PROVISIONER}::test_the_object_of_a_volume_goes_after_its_directory",
    ),
    Bug(
        "a volume is thrown away that is to be retained",
        "actors/controllers/directory_provisioner.py",
        """    if volume["spec"].get("persistentVolumeReclaimPolicy") != "Delete":\n""",
        "    if False:\n",
        f"{_PROVISIONER}::test_what_is_retained_stays_and_its_object_may_go",
    ),
    Bug(
        "a pod is shown a volume that is another claim's",
        "actors/kubelet/persistent_volumes.py",
        "    if claim is None or owner != uid_of(claim):\n",
        "    if claim is None:\n",
        f"{_KUBELET}::test_a_volume_that_cannot_be_mounted_is_refused_with_its_reason",
    ),
]
