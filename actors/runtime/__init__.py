"""The container runtime shim: CRI-shaped messages over a backend.

    actor.py      the shell: keeps the books (ledger.py), tells who listens, lets a backend do the work (backend.py)
    process.py    containers are processes of this host: what that means is in launch.py
    sim.py        scripted containers on virtual time: the script's words are in sim_script.py

Left out: pulling images, isolation, OOM kills, attach; an OCI backend is to bring them.
"""
