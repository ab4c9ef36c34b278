"""The command line: `ddlite`, or `python -m ddlite`."""
