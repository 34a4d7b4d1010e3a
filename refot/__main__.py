"""`python -m refot`: the command `refot`."""

from refot.cli.app import main

if __name__ == "__main__":
    main()
