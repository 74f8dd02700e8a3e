# The same commands for those who type make; ./dev does the work.
.PHONY: cluster test test-all lint soak bench docs
cluster test test-all lint soak bench docs:
	@./dev $@
