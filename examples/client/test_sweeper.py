"""The sweeper against a real API server whose controllers and (scripted) kubelets do what they do in any cluster."""

import yaml
from kubernetes import client, config, utils
from sweeper import sweep

WEB = """{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, labels: {night: "off"}}, spec: {replicas: 2,
  selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}},
  spec: {terminationGracePeriodSeconds: 0, containers: [{name: main, image: nginx}]}}}}"""


def test_what_may_sleep_is_scaled_to_nothing(live_cluster):
    with config.new_client_from_config(str(live_cluster.kubeconfig)) as api:
        utils.create_from_dict(api, yaml.safe_load(WEB))
        core = client.CoreV1Api(api)
        live_cluster.eventually(lambda: len(core.list_namespaced_pod("default").items) == 2)
        assert sweep(api) == ["web"]
        live_cluster.eventually(lambda: not core.list_namespaced_pod("default").items)
        assert sweep(api) == []
