"""A controller of your own with the `kubernetes` client: deployments with the label `night=off` are scaled to nothing.

python examples/client/sweeper.py          # once over all namespaces, for example from a CronJob
"""

from kubernetes import client, config


def sweep(api: client.ApiClient) -> list[str]:
    """The names of those that were scaled down."""
    apps = client.AppsV1Api(api)
    awake = [d for d in apps.list_deployment_for_all_namespaces(label_selector="night=off").items if d.spec.replicas]
    for deployment in awake:
        name, namespace = deployment.metadata.name, deployment.metadata.namespace
        apps.patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": 0}})
    return [deployment.metadata.name for deployment in awake]


if __name__ == "__main__":
    print(*sweep(config.new_client_from_config()))
