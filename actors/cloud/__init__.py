"""The cloud controller manager: what Kubernetes asks of the place it runs in, behind one provider interface."""
