"""The kubelet: runs the pods that are bound to its node, through the runtime shim, and says how they are.

    actor.py            the shell: brings the API, the runtime and the time to the workers, carries out what they say
    pod_worker.py       one pod as a machine; container_worker.py one of its containers; probes.py, backoff.py
    status.py           the pod's status; node_status.py the node's
    executor.py         does one action; status_writer.py, node_agent.py, runtime_link.py, logs.py wait and write
    env.py, volumes.py  what a container is given; admission.py which pods the node takes

Left out: static pods, eviction under pressure, gRPC probes, service account tokens in volumes, volumes that need
a driver, host ports.
"""
