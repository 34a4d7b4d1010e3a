"""The command line `refot`: one command, or one group of commands, a file."""
