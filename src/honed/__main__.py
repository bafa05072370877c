"""`python -m honed` is the command line."""

from honed.cli import main

if __name__ == "__main__":
    main()
