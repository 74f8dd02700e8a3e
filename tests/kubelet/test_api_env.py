"""By which variables a container finds the API server."""

from __future__ import annotations

from actors.kubelet.api_env import api_env
from actors.kubelet.env import Place, container_env

SERVICE = {"spec": {"clusterIP": "127.66.0.1", "ports": [{"name": "https", "port": 443}]}}
ENDPOINTS = {"subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [{"name": "https", "port": 6443}]}]}


def test_they_name_the_service_as_the_kubelet_does() -> None:
    assert api_env(SERVICE, ENDPOINTS, True) == {
        "KUBERNETES_SERVICE_HOST": "127.66.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "KUBERNETES_SERVICE_PORT_HTTPS": "443",
        "KUBERNETES_PORT": "tcp://127.66.0.1:443",
        "KUBERNETES_PORT_443_TCP": "tcp://127.66.0.1:443",
        "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
        "KUBERNETES_PORT_443_TCP_PORT": "443",
        "KUBERNETES_PORT_443_TCP_ADDR": "127.66.0.1",
    }


def test_where_nobody_may_listen_on_its_port_they_name_the_server_itself() -> None:
    env = api_env(SERVICE, ENDPOINTS, False)

    assert (env["KUBERNETES_SERVICE_HOST"], env["KUBERNETES_SERVICE_PORT"]) == ("127.0.0.1", "6443")


def test_a_server_without_rest_is_not_named() -> None:
    assert api_env({"spec": {}}, None, True) == {}


def test_a_container_can_refer_to_them_and_set_its_own() -> None:
    place = Place("n", "", "", {}, {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"})
    variables = [
        {"name": "URL", "value": "https://$(KUBERNETES_SERVICE_HOST)"},
        {"name": "KUBERNETES_SERVICE_PORT", "value": "2"},
    ]

    env = container_env({}, {"env": variables}, {}, place)

    assert env == {"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "2", "URL": "https://h"}
