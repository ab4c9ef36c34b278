# Everything is in make.py, for those without make.
PYTHON ?= python3

.PHONY: setup demo test lab notebooks assignments site links lock
setup demo test lab notebooks assignments site links lock:
	@$(PYTHON) make.py $@
