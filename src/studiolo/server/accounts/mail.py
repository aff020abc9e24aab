"""Sends mail by SMTP, where a server is set."""

import asyncio
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from studiolo.contract.errors import InvalidInput, Unavailable
from studiolo.server.settings.mail import MailSettings


class Mail:
    """Hands single mails to the configured server; keeps nothing, tries once."""

    def __init__(self, settings: MailSettings, *, domain: str) -> None:
        self._settings = settings
        self._domain = domain

    @property
    def is_set(self) -> bool:
        """Whether there is a server to send by."""
        return bool(self._settings.host)

    async def send(self, to: str, subject: str, text: str) -> None:
        """Send a mail; raises Unavailable (`mail-not-sent`) with the server's reason, InvalidInput for no address."""
        message = EmailMessage()
        try:
            message["From"] = self._settings.sender or self._settings.user or f"studiolo@{self._domain}"
            message["To"], message["Subject"] = to, subject
        except ValueError as exc:
            raise InvalidInput("email-invalid", f"No mail can be sent to {to[:64]!r}.") from exc
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=self._domain)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        try:
            await asyncio.to_thread(self._hand_over, message)
        except (OSError, smtplib.SMTPException, UnicodeError) as exc:
            raise Unavailable(
                "mail-not-sent",
                f"The mail was not sent: {_reason(exc)}.",
                hint="Send the text yourself; the settings are mail.host, mail.port, mail.tls, mail.user.",
                detail=repr(exc),
            ) from exc

    def _hand_over(self, message: EmailMessage) -> None:
        settings = self._settings
        context = ssl.create_default_context()
        where = (settings.host, settings.port)
        if settings.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(*where, timeout=settings.timeout_seconds, context=context)
        else:
            server = smtplib.SMTP(*where, timeout=settings.timeout_seconds)
        with server:
            if settings.tls == "starttls":
                server.starttls(context=context)
            if settings.user:
                password = settings.password_file.read_text().strip() if settings.password_file else ""
                server.login(settings.user, password)
            server.send_message(message)


def _reason(exc: Exception) -> str:
    if isinstance(exc, smtplib.SMTPAuthenticationError):
        return "the server does not accept the user and password"
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return "the server does not take mail for this address"
    if isinstance(exc, smtplib.SMTPResponseException):
        words = exc.smtp_error.decode("utf-8", "replace") if isinstance(exc.smtp_error, bytes) else str(exc.smtp_error)
        return f"the server answered {exc.smtp_code} {words[:200]}"
    if isinstance(exc, ssl.SSLError):
        return "no encrypted connection could be made"
    if isinstance(exc, TimeoutError):
        return "the server did not answer in time"
    if isinstance(exc, OSError):
        return exc.strerror or "the server cannot be reached"
    return "the server broke off"
