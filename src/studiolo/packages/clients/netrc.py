"""The file by which tools sign in: no credential stands in an address, where logs and processes would show it."""


def entry(host: str, login: str, key: str) -> str:
    """Return the lines for one host name; netrc files know no ports.

    Raises ValueError for what would be more than one word: it could add a host.
    """
    for word in (host, login, key):
        if not word or any(character.isspace() or character in "\"'\\#" for character in word):
            raise ValueError("a host, login or key is empty or has characters that netrc files give a meaning")
    return f"machine {host}\nlogin {login}\npassword {key}\n"
