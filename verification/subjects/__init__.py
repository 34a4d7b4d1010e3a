"""How somebody else's code is found, called, and kept from doing harm."""
