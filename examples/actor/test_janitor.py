"""The janitor in a simulated cluster: eight minutes, a cut network and a killed store take a second."""

from janitor import Janitor

OLD = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "old", "labels": {"expires": "5m"}}}


def test_an_old_config_map_goes_although_the_janitor_is_cut_off_and_the_store_loses_its_leader(cluster):
    cluster.spawn("janitor", Janitor)
    cluster.create(OLD)
    cluster.clock.advance("4m")
    cluster.partition("janitor")
    cluster.kill("etcd-0")
    cluster.clock.advance("2m")
    assert cluster.get("cm/old")
    cluster.heal()
    cluster.wait("cm/old", "deleted", within="3m")
