"""kube-scheduler: decides which node each new pod runs on, and binds it there."""
