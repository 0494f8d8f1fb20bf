"""Machines as attackers: what they make up is answered, by the server and by each parser of outside text."""
