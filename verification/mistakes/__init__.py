"""The catalogue of known mistakes: what each is called, what is said of it, what it answers."""
