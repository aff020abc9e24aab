"""People, logins, keys: who is asking."""
