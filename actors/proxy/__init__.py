"""kube-proxy: makes the addresses of Services lead to pods."""
