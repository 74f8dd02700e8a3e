"""SPDY/3.1 as Kubernetes' clients speak it for exec, attach and port-forward: the protocol, without I/O.

Source: the SPDY draft 3.1 (chromium.org) and what moby/spdystream makes of it, which is the only peer that there is.
Why it is ours, and why it has no flow-control windows: docs/decisions/0061-spdy.md.
"""
