"""What is right: certified solutions of a case, and the right answer to any call of a
capability."""
