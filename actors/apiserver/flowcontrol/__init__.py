"""API priority and fairness: who waits, for whom, and who is sent away when more is asked than can be done at once."""
