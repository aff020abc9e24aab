"""Commands that act on this machine: start, stop and check the platform, let people in."""

from studiolo.server.commands.access import reset_password, sign_in_link
from studiolo.server.commands.backup import backup
from studiolo.server.commands.doctor import doctor
from studiolo.server.commands.down import down
from studiolo.server.commands.restore import restore
from studiolo.server.commands.serve import serve
from studiolo.server.commands.up import up

__all__ = ["backup", "doctor", "down", "reset_password", "restore", "serve", "sign_in_link", "up"]
