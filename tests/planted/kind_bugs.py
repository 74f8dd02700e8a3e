"""Bugs of versions, and of kinds of newer ones: devices, addresses of Services, attributes of volumes."""

from __future__ import annotations

from tests.planted.bug import Bug

_RULES = "actors/apiserver/rules"
_PROTOBUF = "tests/apiserver/schema/test_protobuf.py"
_DEVICES = "tests/apiserver/rules/test_validate_devices.py"
_ADDRESSES = "tests/apiserver/rules/test_validate_addresses.py"

KINDS = [
    Bug(
        "a kubelet of an older cluster says that it is of the newest Kubernetes",
        "actors/cluster.py",
        "                kubernetes_version=spec.kubernetes_version,\n                api=spec.apis,\n",
        "                api=spec.apis,\n",
        "tests/kubelet/test_kubelet.py::test_a_kubelet_is_of_the_kubernetes_that_its_cluster_serves",
    ),
    Bug(
        "a Workload of 1.36 is kept as one of 1.35",
        "actors/apiserver/schema/resources.py",
        "alias = again and group_version not in _SUCCEEDED",
        "alias = again",
        "tests/apiserver/test_versions_served.py::test_versions_that_no_kubernetes_serves_side_by_side_are_not_translated",
    ),
    Bug(
        "a PodGroup may be made of a template that is not there",
        "actors/apiserver/admission/chain.py",
        '    ("CREATE", pod_groups.POD_GROUPS): (pod_groups.validate,),\n',
        "",
        "tests/apiserver/admission/test_plugins.py::test_a_pod_group_is_made_of_a_template_that_is_there",
    ),
    Bug(
        "what a PodGroup is may change",
        f"{_RULES}/validate/pod_groups.py",
        '            yield from unchanged(f"spec.{field}", spec.get(field), before.get(field))\n',
        "            yield from ()\n",
        "tests/apiserver/rules/test_validate_pod_groups.py::test_what_a_group_is_stays",
    ),
    Bug(
        "what a claim asks for may change",
        f"{_RULES}/validate/devices.py",
        '    yield from judge(spec) if old is None else unchanged("spec", spec, old.get("spec") or {})\n',
        "    yield from judge(spec)\n",
        f"{_DEVICES}::test_what_never_changes",
    ),
    Bug(
        "devices are taken from who uses them",
        f"{_RULES}/validate/allocations.py",
        '    if status.get("reservedFor") and allocation is None:\n',
        "    if False:\n",
        f"{_DEVICES}::test_a_status_that_is_refused",
    ),
    Bug(
        "any field of a device will do in a selector",
        "actors/apiserver/cel/device_selectors.py",
        'Environment({"device": declared.type_of(whole.properties["device"])}, declared.pool)',
        'Environment({"device": "dyn"}, declared.pool)',
        f"{_DEVICES}::test_what_is_refused",
    ),
    Bug(
        "a container uses a claim that its pod does not have",
        f"{_RULES}/validate/pods.py",
        "    yield from resource_claims(field, spec)\n",
        "",
        f"{_DEVICES}::test_what_is_refused",
    ),
    Bug(
        "a kubelet's driver gets the slices of all nodes",
        "actors/apiserver/selectors.py",
        '    "resourceslices.resource.k8s.io": ("spec.driver", "spec.nodeName"),\n',
        '    "resourceslices.resource.k8s.io": ("spec.driver", "spec.driver"),\n',
        "tests/apiserver/test_devices_rest.py::test_slices_are_found_by_node_and_driver",
    ),
    Bug(
        "a network of Services is an address in one",
        f"{_RULES}/addresses.py",
        '        yield "must not have bits set beyond the prefix length"\n',
        "        return\n",
        f"{_ADDRESSES}::test_networks_have_one_form",
    ),
    Bug(
        "attributes that a volume has are taken from its claim",
        f"{_RULES}/validate/storage.py",
        'status.get("currentVolumeAttributesClassName") is not None:',
        "False:",
        f"{_ADDRESSES}::test_attributes_that_were_applied_are_not_taken_away",
    ),
    Bug(
        "a gang of 1.35 has its policy under another number",
        "actors/apiserver/schema/protobuf_fields.txt",
        "scheduling.v1alpha1.PodGroup name=1! policy=3:",
        "scheduling.v1alpha1.PodGroup name=1! rule=3:",
        f"{_PROTOBUF}::test_the_table_and_the_types_of_all_versions_have_the_same_fields",
    ),
    Bug(
        "what may be beside the known fields is decided the wrong way round",
        "actors/apiserver/schema/protobuf.py",
        "    return one[-1] if one else any(",
        "    return one[-1] if one else not any(",
        f"{_PROTOBUF}::test_a_schema_has_what_json_has_where_the_message_has_one_of_two",
    ),
    Bug(
        "a schema in a schema, and so on, ends the request with a traceback",
        "actors/apiserver/schema/protobuf.py",
        "    except RecursionError:\n",
        "    except ZeroDivisionError:\n",
        f"{_PROTOBUF}::test_a_schema_without_a_bottom_is_refused",
    ),
    Bug(
        "kubectl drain --dry-run=server evicts",
        "actors/apiserver/pipeline.py",
        "call.dry_run = call.dry_run or dry_run_of(options)",
        "call.dry_run = call.dry_run",
        "tests/apiserver/test_subresources.py::test_an_eviction_that_is_a_dry_run_evicts_nobody_and_spends_nothing",
    ),
    Bug(
        "a table of a Scale has the columns of what is scaled",
        "actors/apiserver/tables/__init__.py",
        "workloads.SCALE if is_scale else",
        "workloads.SCALE if False else",
        "tests/apiserver/tables/test_tables.py::test_a_scale_shows_what_is_wanted_and_what_there_is",
    ),
    Bug(
        "custom objects are promised in protobuf",
        "actors/apiserver/rest/negotiate.py",
        "    if protobuf and any(",
        "    if any(",
        "tests/apiserver/custom/test_custom_resources.py::test_custom_objects_are_not_to_be_had_in_protobuf",
    ),
    Bug(
        "a watcher of protobuf gets JSON from others who watch",
        "actors/apiserver/rest/watch.py",
        " or resource.custom is not None or self._is_protobuf:",
        " or resource.custom is not None:",
        "tests/apiserver/test_rest.py::test_a_watch_in_protobuf_has_its_events_in_frames",
    ),
    Bug(
        "negative numbers are written as if they were not",
        "actors/apiserver/schema/protobuf_encode.py",
        "    value &= 2**64 - 1\n",
        "    value &= 2**63 - 1\n",
        f"{_PROTOBUF}::test_what_the_server_writes_is_read_as_the_same",
    ),
    Bug(
        "who changes a Service's address is told that the new one is not free",
        "actors/apiserver/allocate.py",
        " not in self.mine and not self._has_one():",
        " not in self.mine:",
        "tests/apiserver/test_allocation.py::test_an_address_is_not_changed_whatever_the_new_one_would_be",
    ),
    Bug(
        "who fails a test of a JSON patch is told what the object holds",
        "actors/apiserver/patch/json_patch.py",
        "testing value {operation['path']} failed: test failed",
        "{patched}",
        "tests/apiserver/patch/test_json_and_merge_patch.py::"
        "test_an_operation_that_does_not_apply_refuses_the_patch_and_tells_nothing_of_the_object",
    ),
    Bug(
        "a lease is overwritten by whoever has not looked at it",
        "actors/apiserver/changes.py",
        "            check_revision_named(call.stored, call.name, call.revision)\n",
        "",
        "tests/apiserver/test_updating.py::test_a_lease_is_only_updated_from_a_revision_that_is_named",
    ),
    Bug(
        "an update creates any kind",
        "actors/apiserver/pipeline.py",
        "            if call.subresource or not is_created_by_update(call.stored):\n                raise\n",
        "            pass\n",
        "tests/apiserver/test_updating.py::test_an_update_creates_a_lease_and_no_config_map",
    ),
    Bug(
        "who may update may create by it",
        "actors/apiserver/pipeline.py",
        '        self.authorizer.permit(call.caller, asked(call, "create"))\n        if uid_of(obj):\n',
        "        if uid_of(obj):\n",
        "tests/apiserver/test_updating.py::test_who_may_only_update_creates_nothing",
    ),
    Bug(
        "a status is applied to nothing, and makes an object",
        "actors/apiserver/pipeline.py",
        "            if call.subresource:  # is no object of its own\n                raise\n",
        "",
        "tests/apiserver/test_updating.py::test_nothing_is_applied_to_the_status_of_what_is_not_there",
    ),
    Bug(
        "a dry run that is misspelt is none",
        "actors/apiserver/rest/options.py",
        '    if params.has("dryRun") and params.text("dryRun") != "All":\n',
        "    if False:\n",
        "tests/apiserver/test_requests.py::test_options_that_kubernetes_refuses_are_refused_in_its_words",
    ),
    Bug(
        "v1beta2 of a priority level says its shares as v1 does",
        "actors/apiserver/flowcontrol_versions.py",
        "        limited[_ASSURED] = limited.pop(_NOMINAL, 0)\n",
        "        pass\n",
        "tests/apiserver/test_versions_served.py::test_flow_schemas_are_served_as_the_betas_that_a_version_has",
    ),
    Bug(
        "a priority level that is to have no shares gets thirty",
        "actors/apiserver/flowcontrol_versions.py",
        "    if shares or means_zero:\n",
        "    if shares:\n",
        "tests/apiserver/test_versions_served.py"
        "::test_no_shares_are_the_default_in_a_beta_unless_its_annotation_means_them",
    ),
    Bug(
        "a watch of what is deprecated is not warned of it",
        "actors/apiserver/rest/watch.py",
        "        response.headers.extend(warned(request))\n",
        "",
        "tests/apiserver/test_versions_served.py::test_who_asks_for_what_is_deprecated_is_warned",
    ),
    Bug(
        "what was not deprecated yet is warned of",
        "actors/apiserver/schema/deprecated.py",
        'if found is None or int(version.partition(".")[2]) < found.since:',
        "if found is None:",
        "tests/apiserver/test_versions_served.py::test_who_asks_for_what_is_deprecated_is_warned",
    ),
    Bug(
        "a document is sent again to who has it",
        "actors/apiserver/rest/caching.py",
        '    if etag in if_none_match or if_none_match == "*":\n',
        "    if False:\n",
        "tests/apiserver/test_documents_rest.py::test_who_has_a_document_is_not_sent_it_again",
    ),
    Bug(
        "an old hash is answered by a document that is then kept under it",
        "actors/apiserver/rest/caching.py",
        "    if wanted != current:\n",
        "    if False:\n",
        "tests/apiserver/test_documents_rest.py"
        "::test_a_document_by_its_hash_is_kept_for_a_year_and_by_an_old_one_is_elsewhere",
    ),
    Bug(
        "a strict client says a field twice, and one of them is lost",
        "actors/apiserver/rest/verbs.py",
        "        if strict and (twice := repeated_fields(body)):\n",
        "        if False and (twice := repeated_fields(body)):\n",
        "tests/apiserver/test_updating.py::test_a_strict_client_may_say_nothing_twice",
    ),
    Bug(
        "a POST to an object's own address creates it",
        "actors/apiserver/rest/verbs.py",
        "        if call.name and not call.subresource:\n            raise MethodNotAllowed(_NOT_ALLOWED)\n",
        "",
        "tests/apiserver/test_updating.py::test_what_is_sent_names_the_object_and_its_address_the_collection",
    ),
]
