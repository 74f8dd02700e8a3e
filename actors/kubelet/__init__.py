"""The kubelet: runs the pods that are bound to its node, through the runtime shim, and says how they are."""
