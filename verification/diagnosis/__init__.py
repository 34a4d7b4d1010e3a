"""Why an answer is wrong: known mistakes are tried until one explains it."""
