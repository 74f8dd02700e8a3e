"""Bugs of admission: plugins, pod security, quotas."""

from __future__ import annotations

from tests.planted.bug import Bug

_PLUGINS = "tests/apiserver/admission/test_plugins.py"
_PASSING = "tests/apiserver/admission/test_passing.py"
_QUOTA = "tests/apiserver/admission/test_quota.py"
_POLICIES = "tests/apiserver/admission/test_policies.py"
_MOULDS = "tests/apiserver/test_moulds.py"
_MUTATIONS = "tests/apiserver/admission/test_mutations.py"
_WEBHOOKS = "tests/apiserver/admission/test_webhooks.py"
_QUOTA_SIMULATED = "tests/apiserver/admission/test_quota_simulated.py"
_SECURITY = "tests/apiserver/admission/test_pod_security.py"

_CONNECTING = "tests/apiserver/admission/test_connecting.py"
_AUTHORIZER = "tests/apiserver/admission/test_authorizer.py"

ADMISSION = [
    Bug(
        "webhooks: a refusal has no reason of its own",
        "actors/apiserver/admission/dynamic/review.py",
        '        given["reason"] = str(status["reason"])\n',
        "        pass\n",
        "tests/apiserver/admission/test_webhook_answers.py::test_a_refusal_is_the_webhooks_own",
    ),
    Bug(
        "webhooks: a refusal may have any code",
        "actors/apiserver/admission/dynamic/review.py",
        "_CODE_MIN <= code <= _CODE_MAX",
        "True",
        "tests/apiserver/admission/test_webhook_answers.py::test_a_refusal_is_the_webhooks_own",
    ),
    Bug(
        "webhooks: whoever validates may answer with a patch",
        "actors/apiserver/admission/dynamic/review.py",
        "        if response.get(name) and not mutates:\n",
        "        if False:\n",
        "tests/apiserver/admission/test_webhook_answers.py::test_an_answer_that_is_none_is_described",
    ),
    Bug(
        "webhooks: the options of a request are not told",
        "actors/apiserver/admission/dynamic/review.py",
        ", **attributes.options} if kind",
        "} if kind",
        "tests/apiserver/admission/test_webhook_answers.py::test_a_webhook_is_told_the_options",
    ),
    Bug(
        "webhooks: the options of a delete without a body are not told",
        "actors/apiserver/rest/verbs.py",
        "            call.options |= self._params.delete_options()\n",
        "",
        "tests/apiserver/admission/test_webhook_answers.py::test_a_webhook_is_told_the_options",
    ),
    Bug(
        "webhooks: an update has no revision",
        "actors/apiserver/admission/dynamic/review.py",
        ' or (old or {}).get("metadata", {}).get("resourceVersion")',
        "",
        "tests/apiserver/admission/test_webhook_answers.py::test_an_update_has_the_revision_that_it_is_made_of",
    ),
    Bug(
        "webhooks: who is asked after a webhook is told the name that it made",
        "actors/apiserver/admission/dynamic/webhooks.py",
        "        attributes.named = attributes.named or",
        "        _ = attributes.named or",
        "tests/apiserver/admission/test_webhook_answers.py::test_whatever_a_webhook_makes_of_the_name_others_are_told_the_requests",
    ),
    Bug(
        "an internal error has no cause",
        "protocols/errors.py",
        "        if not self.details and cause != self.message:\n",
        "        if False:\n",
        "tests/apiserver/admission/test_webhook_answers.py::test_an_answer_that_is_none_is_described",
    ),
    Bug(
        "webhooks: a patch that makes no object is the client's mistake",
        "actors/apiserver/changes.py",
        ", refuse=_mutated_badly",
        "",
        "tests/apiserver/admission/test_webhook_answers.py::test_a_patch_that_does_not_fit_is_nobodys_request",
    ),
    Bug(
        "kubectl is not told why a policy refuses",
        "actors/apiserver/admission/dynamic/policies.py",
        '{**refusal.details, "causes": [{"message": why}]}',
        "refusal.details",
        f"{_POLICIES}::test_what_breaks_a_policy_is_refused",
    ),
    Bug(
        "what a webhook makes of a connection's options is not what is done",
        "actors/apiserver/admission/connecting.py",
        "        return attributes.obj",
        "        return options",
        f"{_CONNECTING}::test_a_webhook_changes_what_is_done",
    ),
    Bug(
        "policies and webhooks that judge are not asked about connections",
        "actors/apiserver/admission/connecting.py",
        "        await self._admission.ask(attributes)\n",
        "",
        f"{_CONNECTING}::test_a_policy_refuses_commands_by_what_they_are",
    ),
    Bug(
        "options of a connection are selected by labels that they cannot have",
        "actors/apiserver/admission/dynamic/matching.py",
        'if "metadata" in obj]',
        "if obj]",
        f"{_CONNECTING}::test_a_selector_of_labels_selects_no_options",
    ),
    Bug(
        "a request is passed on to the path that was asked for, whatever admission made of it",
        "actors/apiserver/rest/connect.py",
        "if changed == path else",
        "if True else",
        f"{_CONNECTING}::test_a_webhook_changes_what_is_done",
    ),
    Bug(
        "a pod is looked for before admission is asked about the connection",
        "actors/apiserver/rest/connect.py",
        """        options = await self._admitted(request)
        pod = (await self._pipeline.reads.get(call, CURRENT)).object()
""",
        """        pod = (await self._pipeline.reads.get(call, CURRENT)).object()
        options = await self._admitted(request)
""",
        f"{_CONNECTING}::test_the_question_comes_before_whether_the_pod_is_there",
    ),
    Bug(
        "an expression that asks about an account is told what who makes the request may do",
        "actors/apiserver/admission/stages.py",
        'service_account(*account.split("/")) if account else caller',
        "caller",
        f"{_AUTHORIZER}::test_an_account_may_be_asked_about_and_a_path",
    ),
    Bug(
        "the request that an expression asks about has no namespace",
        "actors/apiserver/admission/dynamic/conditions.py",
        'request.get("namespace", "")',
        '""',
        f"{_AUTHORIZER}::test_a_policy_asks_what_who_makes_the_request_may_do",
    ),
    Bug(
        "an expression asks without the name that it says",
        "actors/apiserver/cel/authorization.py",
        '_narrowed("name")',
        "lambda check, name: check",
        f"{_AUTHORIZER}::test_a_policy_asks_what_who_makes_the_request_may_do",
    ),
    Bug(
        "bindings that come together pass by webhooks and policies",
        "actors/apiserver/bindings.py",
        '        if not self._passing.is_plain(self._pods, "binding"):',
        "        if False:",
        f"{_PASSING}::test_a_policy_refuses_bindings_one_by_one_and_together",
    ),
    Bug(
        "the labels of a binding do not become its pod's",
        "actors/apiserver/binding.py",
        '("annotations", "labels") if labelled',
        '("annotations",) if labelled',
        f"{_PASSING}::test_a_pod_gets_the_place_of_its_node_as_labels",
    ),
    Bug(
        "a node labels pods over the labels that they bring",
        "actors/apiserver/admission/pod_topology_labels.py",
        "{**found, **labels_of(obj)}",
        "{**labels_of(obj), **found}",
        f"{_PASSING}::test_a_pod_that_comes_with_its_node_keeps_the_labels_it_brings",
    ),
    Bug(
        "the delete of an eviction is asked about once more",
        "actors/apiserver/pipeline.py",
        "deletion, as_is=True)",
        "deletion)",
        f"{_PASSING}::test_a_policy_refuses_evictions_and_is_not_asked_about_the_delete",
    ),
    Bug(
        "a quota is written over whatever it has become",
        "actors/apiserver/writes.py",
        "    compare += [charge.compare() for charge in write.charges]\n",
        "",
        f"{_QUOTA}::test_two_servers_full_of_writers_never_go_over",
    ),
    Bug(
        "a quota is decided on, and not charged",
        "actors/apiserver/writes.py",
        '    success += [Op("put", charge.key, charge.value) for charge in write.charges]\n',
        "",
        f"{_QUOTA}::test_two_servers_full_of_writers_never_go_over",
    ),
    Bug(
        "who is charged to a quota waits until those before are done",
        "actors/apiserver/changes.py",
        "                    charged = await self._charged(attributes, turn)\n",
        "                    await turn.done()\n                    charged = await self._charged(attributes, turn)\n",
        f"{_QUOTA_SIMULATED}::test_writers_that_a_quota_counts_do_not_wait_for_each_other",
    ),
    Bug(
        "room that a refused write had taken is missed by others",
        "actors/apiserver/changes.py",
        "            await turn.done()  # room that was taken for a write that is refused is there again\n",
        "            raise\n",
        f"{_QUOTA_SIMULATED}::test_nobody_is_refused_for_room_that_a_refused_write_had_taken",
    ),
    Bug(
        "what was there before the quota is not counted",
        "actors/apiserver/admission/quota/quotas.py",
        "            used = self._count(quota)",
        "            used = {}",
        f"{_QUOTA}::test_what_was_there_before_the_quota_counts",
    ),
    Bug(
        "a pod that has ended still holds its room",
        "actors/apiserver/admission/quota/usage.py",
        '    if (pod.get("status") or {}).get("phase") in _ENDED:',
        "    if False:",
        f"{_QUOTA}::test_a_quota_lets_in_what_fits_and_its_sum_is_that_of_a_recount",
    ),
    Bug(
        "what makes no difference to a full quota is refused",
        "actors/apiserver/admission/quota/ledger.py",
        "if more > 0 and after[name] > hard[name]",
        "if after[name] > hard[name]",
        f"{_QUOTA}::test_who_takes_less_is_let_in_even_above_the_limit",
    ),
    Bug(
        "a dry run charges",
        "actors/apiserver/commits.py",
        "        if call.dry_run:\n            return Item(key, body, revision)\n",
        "",
        f"{_QUOTA}::test_a_dry_run_is_refused_but_charges_nothing",
    ),
    Bug(
        "what went is never counted again",
        "actors/apiserver/admission/quota/keeper.py",
        '        return change.type != "ADDED"\n',
        "        return False\n",
        f"{_QUOTA_SIMULATED}::test_a_quota_is_never_exceeded_and_exact_in_the_end_whatever_failed",
    ),
    Bug(
        "init containers are not looked at",
        "actors/apiserver/admission/pod_security/violation.py",
        '("initContainers", "containers", "ephemeralContainers")',
        '("containers", "ephemeralContainers")',
        f"{_SECURITY}::test_containers_of_every_kind_are_looked_at",
    ),
    Bug(
        "what the pod says holds for containers that say otherwise",
        "actors/apiserver/admission/pod_security/restricted.py",
        'bad = setters(spec, lambda context: context.get("runAsNonRoot") is False)',
        'bad = ["pod"] if security(spec).get("runAsNonRoot") is False else []',
        f"{_SECURITY}::test_what_a_pod_says_does_not_hold_for_a_container_that_says_otherwise",
    ),
    Bug(
        "a webhook that does not answer counts for nothing",
        "actors/apiserver/admission/dynamic/webhooks.py",
        "            return None if _ignores(hook) else _failed(hook, error)",
        "            return None",
        f"{_WEBHOOKS}::test_a_webhook_that_does_not_answer_refuses_unless_it_may_be_ignored",
    ),
    Bug(
        "what a webhook put in is not completed",
        "actors/apiserver/changes.py",
        "            apply_defaults(call.judged, new)\n            self._admission.chain.complete(",
        "            self._admission.chain.complete(",
        f"{_WEBHOOKS}::test_what_a_webhook_makes_of_an_object_is_completed_and_judged_like_any_other",
    ),
    Bug(
        "any answer is taken for the one that was asked for",
        "actors/apiserver/admission/dynamic/review.py",
        '    if response.get("uid") != uid:',
        "    if False:",
        f"{_WEBHOOKS}::test_an_answer_that_answers_something_else_counts_for_nothing",
    ),
    Bug(
        "whose certificate it is does not matter",
        "actors/apiserver/outward/client.py",
        "            sent = self._session.opened().post(url, data=body, ssl=context,",
        "            context.check_hostname = False\n            context.verify_mode = ssl.CERT_NONE\n"
        "            sent = self._session.opened().post(url, data=body, ssl=context,",
        f"{_WEBHOOKS}::test_a_certificate_of_somebody_else_is_not_trusted",
    ),
    Bug(
        "a service's webhook may have the certificate of any other",
        "actors/apiserver/outward/client.py",
        "lstrip('/')}\", server_name(service)",
        "lstrip('/')}\", None",
        f"{_WEBHOOKS}::test_the_certificate_must_be_for_the_name_of_the_service",
    ),
    Bug(
        "a failure of a policy lets through",
        "actors/apiserver/admission/dynamic/policies.py",
        '        except ConditionError as error:\n            if spec.get("failurePolicy") != "Ignore":\n'
        "                yield Finding(str(error))\n\n\ndef _annotate",
        "        except ConditionError:\n            continue\n\n\ndef _annotate",
        f"{_POLICIES}::test_what_cannot_be_evaluated_refuses_unless_failures_are_ignored",
    ),
    Bug(
        "a default is put over what the container says",
        "actors/apiserver/admission/limit_ranger.py",
        "sorted(name for name in defaults if name not in own)",
        "sorted(defaults)",
        f"{_PLUGINS}::test_a_limit_range_says_what_containers_do_not",
    ),
    Bug(
        "a mutation does not see what the one before it did",
        "actors/apiserver/admission/dynamic/mutations.py",
        'values = with_variables({**case, "object": obj}',
        "values = with_variables({**case}",
        f"{_MUTATIONS}::test_operations_of_a_json_patch_are_made_one_after_the_other",
    ),
    Bug(
        "an atomic list is replaced as if that could be meant",
        "actors/apiserver/admission/dynamic/mutations.py",
        'if type.list_type not in ("map", "set"):',
        "if False:",
        f"{_MUTATIONS}::test_an_object_that_cannot_be_merged_is_refused_unless_failures_are_ignored",
    ),
    Bug(
        "policies are asked again though they want it never",
        "actors/apiserver/admission/dynamic/mutations.py",
        'return bool((policy.get("spec") or {}).get("reinvocationPolicy") == "IfNeeded")',
        "return True",
        f"{_MUTATIONS}::test_who_wants_to_see_what_others_changed_is_asked_again_once",
    ),
    Bug(
        "a part of an object may stand anywhere",
        "actors/apiserver/cel/objects.py",
        "    if expected and type != expected:",
        "    if False:",
        f"{_MUTATIONS}::test_a_policy_that_could_not_work_is_refused",
    ),
    Bug(
        "a pod is cast in a mould although what it was made from has changed",
        "actors/apiserver/moulds.py",
        "kept.mould is not None and kept.mould.stamp == self._stamp(kept.mould.reads)",
        "kept.mould is not None",
        f"{_MOULDS}::test_what_was_looked_at_for_a_mould_is_looked_at_again_when_it_changes",
    ),
    Bug(
        "pods that are cast are not counted to quotas",
        "actors/apiserver/moulds.py",
        "nameless is None or self._admission.quotas.of(call.namespace)",
        "nameless is None",
        f"{_MOULDS}::test_a_quota_counts_pods_of_a_template_that_has_a_mould",
    ),
    Bug(
        "policies do not hear of pods that are cast",
        "actors/apiserver/moulds.py",
        'if self._admission.may_concern("CREATE", resource, ""):',
        "if False:",
        f"{_MOULDS}::test_a_policy_hears_of_pods_of_a_template_that_had_a_mould",
    ),
    Bug(
        "who writes a pod that is cast is taken for who wrote the last one",
        "actors/apiserver/moulds.py",
        "call.namespace, call.manager, call.validation",
        "call.namespace, call.validation",
        f"{_MOULDS}::test_rest_shows_a_pod_that_was_cast_as_it_is_stored",
    ),
    Bug(
        "a pod that is cast says that its fields were written when its mould was made",
        "actors/apiserver/cast.py",
        '{**entry, "time": made}',
        "{**entry}",
        f"{_MOULDS}::test_rest_shows_a_pod_that_was_cast_as_it_is_stored",
    ),
    Bug(
        "a mould that nobody can use is made for every pod",
        "actors/apiserver/moulds.py",
        "min(2 * self._patience, KEPT_MAX)",
        "min(self._patience, KEPT_MAX)",
        f"{_MOULDS}::test_a_mould_that_hardly_serves_is_made_the_more_seldom",
    ),
    Bug(
        "nobody is warned of what a pod that is cast has too much",
        "actors/apiserver/moulds.py",
        "        call.warnings += mould.warnings\n",
        "",
        f"{_MOULDS}::test_rest_shows_a_pod_that_was_cast_as_it_is_stored",
    ),
    Bug(
        "a label of a pod that is cast may be anything",
        "actors/apiserver/open_texts.py",
        "return not any(names.label_value(text))",
        "return True",
        f"{_MOULDS}::test_a_text_that_may_not_stand_there_is_refused_all_the_same",
    ),
    Bug(
        "no annotation of a pod that is cast means anything",
        "actors/apiserver/open_texts.py",
        "annotation == _INDEX or not any(owner in annotation for owner in _OWNED)",
        "True",
        f"{_MOULDS}::test_annotations_that_kubernetes_gives_a_meaning_are_not_open",
    ),
    Bug(
        "a pod that is cast has the texts of the one before",
        "actors/apiserver/moulds.py",
        "self._ctx.now, texts)",
        "self._ctx.now, _PROBES[0].texts)",
        f"{_MOULDS}::test_pods_of_a_template_may_each_have_texts_that_decide_nothing",
    ),
    Bug(
        "a pod that is cast is warned of a variable although it takes up the one that it hides",
        "actors/apiserver/open_texts.py",
        'return "$(" not in value',
        "return True",
        f"{_MOULDS}::test_a_variable_that_takes_up_another_is_not_open",
    ),
]
