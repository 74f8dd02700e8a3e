"""The container runtime shim: CRI-shaped messages over a backend (`process`: real processes, `sim`: scripted ones)."""
