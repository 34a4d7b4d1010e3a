"""The problems that subjects are asked to solve."""
