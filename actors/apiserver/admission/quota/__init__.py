"""ResourceQuota: what a namespace may hold is counted, and no write goes over it.

A write that adds to what is counted is one transaction with the quota's new `status.used`, from the revision of the
quota that it was decided on. So two writers cannot both take the last place, whichever API server they ask. What is
given back is counted anew by keeper.py, from one state of the store, and written only if the quota is still the same.
"""
