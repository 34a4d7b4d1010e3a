"""Why an answer is wrong: the known mistake that would give exactly this answer is found."""
