"""How it is carried: actors and their worlds (runtime, sim), Kubernetes' client machinery (kube), the command line."""

__version__ = "0.1.0"
