"""Bugs of who may do what."""

from __future__ import annotations

from tests.planted.bug import Bug

_RULES = "tests/apiserver/access/test_rbac.py"
_RBAC = f"{_RULES}::test_it_decides_as_the_model_does_whatever_was_put_and_removed"
_TOKENS = "tests/apiserver/tokens/test_account_tokens.py"
_REST = "tests/apiserver/access/test_access_rest.py"
_NODE = "tests/apiserver/access/test_node.py"
_OIDC = "tests/apiserver/tokens/test_oidc.py"
_JWT = "tests/apiserver/tokens/test_authentication_config.py"
_SIGNERS = "tests/apiserver/access/test_signers.py"
_POD_TOKENS = "tests/apiserver/admission/test_service_account.py"

_BOOTSTRAP = "tests/controllers/test_bootstrap_tokens.py"
_CLUSTER_INFO = "tests/apiserver/test_cluster_info.py"

ACCESS = [
    Bug(
        "whoever joins knows the first API server only",
        "actorkube/cli/join.py",
        ", **self.more}",
        "}",
        "tests/cli/test_guests.py::test_a_guest_that_is_revoked_is_cut_off_and_others_are_not",
    ),
    Bug(
        "whoever joins may be a further API server",
        "actors/apiserver/callers.py",
        "if _API_SERVER.fullmatch(system) or _REPLICA.fullmatch(system):",
        "if _REPLICA.fullmatch(system):",
        "tests/apiserver/test_callers.py::test_a_component_is_nobody_who_has_joined",
    ),
    Bug(
        "a bootstrap token that has expired signs on",
        "actors/controllers/bootstrap_signer.py",
        'may(secret, "signing") and now < ends_at(secret)',
        'may(secret, "signing")',
        f"{_BOOTSTRAP}::test_which_tokens_sign",
    ),
    Bug(
        "a bootstrap token that has expired stays",
        "actors/controllers/token_cleaner.py",
        "    return [RequeueAfter(ends - now)] if ends < math.inf else []",
        "    return []",
        f"{_BOOTSTRAP}::test_tokens_go_when_their_time_is_over_and_nothing_else_does",
    ),
    Bug(
        "nobody finds the cluster without being known already",
        "actors/apiserver/access/policy/bindings.py",
        '"kubeadm:bootstrap-signer-clusterinfo", [_ANONYMOUS])',
        '"kubeadm:bootstrap-signer-clusterinfo", [_MANAGER])',
        f"{_CLUSTER_INFO}::test_anybody_reads_where_the_cluster_is_and_nothing_else_of_it",
    ),
    Bug(
        "a restart takes what others have put beside the cluster's address",
        "actors/apiserver/own_writes.py",
        '{**(old.get("data") or {}), **obj["data"]}',
        'obj["data"]',
        f"{_CLUSTER_INFO}::test_what_others_add_to_it_outlives_a_restart",
    ),
    Bug(
        "a rule about claims that has no value holds",
        "actors/apiserver/tokens/jwt_claims.py",
        "    if _evaluate(rule.expression, values) is not True:",
        "    if _evaluate(rule.expression, values) is False:",
        f"{_JWT}::test_a_rule_that_is_not_plainly_true_does_not_hold",
    ),
    Bug(
        "an audience that is not meant is enough",
        "actors/apiserver/tokens/jwt_claims.py",
        "        if not set(meant if isinstance(meant, list) else [meant]) & set(self.audiences):",
        "        if not meant:",
        f"{_JWT}::test_rules_about_claims_and_users_hold",
    ),
    Bug(
        "an issuer's authority is not looked at",
        "actors/apiserver/tokens/oidc_issuer.py",
        "cadata=ca_pem or None)",
        "cadata=None)",
        f"{_JWT}::test_each_issuer_is_believed_for_its_own_tokens_alone",
    ),
    Bug(
        "RBAC takes the binding of another namespace",
        "actors/apiserver/access/rbac.py",
        "        yield (namespace, *who), Grant(",
        '        yield ("", *who), Grant(',
        f"{_RULES}::test_the_binding_of_a_namespace_gives_nothing_elsewhere",
    ),
    Bug(
        "RBAC keeps what a removed binding gave",
        "actors/apiserver/access/rbac.py",
        "            del held[binding]\n            if not held:",
        "            if not held:",
        "tests/apiserver/access/test_rbac.py::test_a_binding_that_is_gone_gives_nothing",
    ),
    Bug(
        "RBAC takes a rule about some names for one about all",
        "actors/apiserver/access/rbac.py",
        "            if not rule.names:\n",
        "            if True:\n",
        f"{_RULES}::test_what_is_allowed_anywhere_is_so_in_every_namespace_and_under_every_name",
    ),
    Bug(
        "a resource's rule holds for its subresources",
        "actors/apiserver/access/rules.py",
        "        if asked.what in resources or",
        "        if asked.resource in resources or",
        f"{_RULES}::test_a_subresource_is_named_with_its_resource_or_a_star",
    ),
    Bug(
        "what a caller could do before a role changed is remembered",
        "actors/apiserver/access/authorizer.py",
        "        self._stale = False\n        self._everywhere.clear()\n        try:",
        "        self._stale = False\n        try:",
        f"{_REST}::test_what_holds_everywhere_ends_when_it_is_taken_away",
    ),
    Bug(
        "whoever may write a role grants what they do not have",
        "actors/apiserver/access/escalation.py",
        "    if lacking:\n",
        "    if lacking and not granted:\n",
        f"{_REST}::test_a_role_is_granted_only_by_who_has_it",
    ),
    Bug(
        "who may not ask learns what there is",
        "actors/apiserver/rest/server.py",
        "            self._pipeline.authorizer.permit(caller, asked)\n        except",
        "            pass\n        except",
        f"{_REST}::test_who_may_not_is_told_nothing_else",
    ),
    Bug(
        "an apply creates without the right to create",
        "actors/apiserver/pipeline.py",
        '            self.authorizer.permit(call.caller, asked(call, "create"))\n',
        "",
        f"{_REST}::test_applying_what_does_not_exist_needs_create",
    ),
    Bug(
        "a token outlives the pod that it is bound to",
        "actors/apiserver/tokens/claims.py",
        '            if kind != "node" or "pod" not in private:',
        '            if kind == "node" and "pod" not in private:',
        f"{_TOKENS}::test_it_holds_in_its_time_for_its_audience_while_all_it_names_exists",
    ),
    Bug(
        "a token of another audience is taken",
        "actors/apiserver/tokens/claims.py",
        "    if not meant:\n        asked, wanted",
        "    if not audiences:\n        asked, wanted",
        f"{_TOKENS}::test_it_holds_in_its_time_for_its_audience_while_all_it_names_exists",
    ),
    Bug(
        "whoever may act as a user may join any group",
        "actors/apiserver/access/impersonation.py",
        "    for group in groups:\n        yield",
        "    for group in groups[1:]:\n        yield",
        "tests/apiserver/access/test_impersonation.py::test_each_part_is_allowed_by_itself",
    ),
    Bug(
        "a start takes away what users gave",
        "actors/apiserver/access/reconcile.py",
        "    return subjects + [",
        "    return [",
        "tests/apiserver/access/test_policy.py::test_what_was_taken_away_comes_back_and_what_was_added_stays",
    ),
    Bug(
        "a node reads what a pod of another node needs",
        "actors/apiserver/access/node_graph.py",
        "if key is not None and self._on_node(key, node) and",
        "if key is not None and",
        f"{_NODE}::test_the_graph_is_as_new_as_the_cache",
    ),
    Bug(
        "what a pod referred to once is remembered for ever",
        "actors/apiserver/access/node_graph.py",
        "        if known is None or known[0] != item.revision:",
        "        if known is None:",
        f"{_NODE}::test_the_graph_is_as_new_as_the_cache",
    ),
    Bug(
        "a node changes other nodes",
        "actors/apiserver/admission/node_restriction.py",
        "    if name != node:\n",
        "    if not name:\n",
        f"{_NODE}::test_it_changes_its_own_node_and_no_other",
    ),
    Bug(
        "whoever is called a node is one",
        "actors/apiserver/access/node.py",
        "    if not caller.user.startswith(NODE_PREFIX) or NODES not in caller.groups:",
        "    if not caller.user.startswith(NODE_PREFIX):",
        f"{_NODE}::test_only_who_has_the_name_and_the_group_is_a_node",
    ),
    Bug(
        "an account's word counts before the pod's",
        "actors/apiserver/admission/service_account.py",
        'for says in (spec.get("automountServiceAccountToken"), account.get("automountServiceAccountToken")):',
        'for says in (account.get("automountServiceAccountToken"), spec.get("automountServiceAccountToken")):',
        f"{_POD_TOKENS}::test_the_pod_says_whether_it_wants_it_and_else_the_account",
    ),
    Bug(
        "a pod of a new namespace is refused",
        "actors/apiserver/changes.py",
        "            if not self._admission.chain.comes_early(attributes):\n",
        "            if True:\n",
        f"{_POD_TOKENS}::test_a_pod_of_a_new_namespace_waits_for_the_account",
    ),
    Bug(
        "whoever may change a request may approve it",
        "actors/apiserver/access/signers.py",
        '        if not _may(authorizer, call, "approve", signer):',
        "        if not signer:",
        f"{_SIGNERS}::test_who_approves_and_who_signs_is_allowed_it_for_the_signer",
    ),
    Bug(
        "a request says itself who made it",
        "actors/apiserver/access/signers.py",
        "        spec.pop(key, None)\n        if value:",
        "        if value and key not in spec:",
        f"{_SIGNERS}::test_the_server_says_who_made_it",
    ),
    Bug(
        "a signer takes back what was approved",
        "actors/apiserver/rules/signing_requests.py",
        'if each.get("type") in _DECIDED]',
        "if False]",
        f"{_SIGNERS}::test_its_spec_stays_and_each_endpoint_changes_its_own",
    ),
    Bug(
        "a kubelet renews the certificate of another",
        "actors/apiserver/certificates/approver.py",
        '("selfnodeclient",) if asked.common_name == caller.user else ()',
        '("selfnodeclient",) if caller.user else ()',
        f"{_SIGNERS}::test_a_kubelet_gets_its_next_certificate_by_itself_when_a_role_says_so",
    ),
    Bug(
        "what was denied is signed",
        "actors/controllers/certificate_signing.py",
        'condition(request, "Approved") and not condition(request, "Denied") and',
        'condition(request, "Approved") and',
        "tests/controllers/test_certificates.py::test_nothing_else_is",
    ),
    Bug(
        "a Secret's token outlives its account",
        "actors/apiserver/tokens/secrets.py",
        "    return account is None or bool(",
        "    return account is not None and bool(",
        "tests/apiserver/tokens/test_token_secrets.py::test_it_goes_with_its_account_and_the_token_is_no_good_any_more",
    ),
    Bug(
        "a token that is for another client is taken",
        "actors/apiserver/tokens/oidc.py",
        "    if config.client_id not in (",
        "    if not config.client_id and config.client_id not in (",
        f"{_OIDC}::test_what_does_not_hold_is_nobodys",
    ),
    Bug(
        "keys that the issuer has withdrawn count for ever",
        "actors/apiserver/tokens/oidc_issuer.py",
        "        self._read.clear()\n",
        "",
        f"{_OIDC}::test_new_keys_are_asked_for_and_withdrawn_ones_end",
    ),
    Bug(
        "each token of a stranger makes the server ask the issuer",
        "actors/apiserver/tokens/oidc_issuer.py",
        "        return now - self._asked_at >= FETCH_EVERY_S and (",
        "        return bool(now) and (",
        f"{_OIDC}::test_strangers_do_not_make_it_ask_all_the_time",
    ),
    Bug(
        "a user's name adds headers where another API server answers",
        "actors/apiserver/rest/aggregator.py",
        "    return value.translate(_LINE_ENDS)\n",
        "    return value\n",
        "tests/apiserver/aggregation/test_identity.py::test_a_name_adds_no_header",
    ),
    Bug(
        "the scheduler may not bind what a pod claims",
        "actors/apiserver/access/policy/cluster_roles.py",
        "UPDATE          resource.k8s.io   resourceclaims/binding\n",
        "",
        "tests/apiserver/access/test_policy.py::test_it_says_who_may_what",
    ),
    Bug(
        "all versions of a group come as early",
        "actors/apiserver/aggregation/services.py",
        "(_GROUPS[resource.group], _VERSIONS.get(name, _STABLE))",
        "(_GROUPS[resource.group], _STABLE)",
        "tests/apiserver/aggregation/test_aggregation.py::test_what_is_looked_through_first_is_as_in_kubernetes",
    ),
    Bug(
        "who may become another for one request may for every one",
        "actors/apiserver/access/impersonation.py",
        'verb=f"impersonate-on:{mode}:{asked.verb}"',
        'verb="get"',
        "tests/apiserver/access/test_impersonation.py::test_who_may_for_one_kind_of_request_may_not_for_another",
    ),
    Bug(
        "for one request anybody may become a master",
        "actors/apiserver/access/impersonation.py",
        "_MASTERS_REFUSED if group == MASTERS else",
        "_MASTERS_REFUSED if not group else",
        "tests/apiserver/access/test_impersonation.py::test_who_becomes_another_for_one_request",
    ),
]
