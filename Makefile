# Everything is in make.py, for those without make.
PYTHON ?= python3

.PHONY: setup demo test lab notebooks assignments site links
setup demo test lab notebooks assignments site links:
	@$(PYTHON) make.py $@
