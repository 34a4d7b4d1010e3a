"""The command line `refot`: each file holds one command, or one group of commands."""
