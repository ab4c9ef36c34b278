# Everything is in make.py, for those without make.
PYTHON ?= python3

.PHONY: setup demo test lab notebooks assignments links
setup demo test lab notebooks assignments links:
	@$(PYTHON) make.py $@
