"""kube-scheduler's default plugins, one file each; `profile.py` beside this folder weighs them."""
