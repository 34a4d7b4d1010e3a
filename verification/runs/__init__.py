"""The runs of all checks on a subject, in which it is called and the results are collected."""
