"""`python -m ddlite`: the command line, as `ddlite` alone."""

from ddlite.cli.main import main

if __name__ == "__main__":
    main()
