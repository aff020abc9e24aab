"""What all doors over HTTP share: hosts, identity, cookies, problem replies, limits."""
