"""Who is asking, and the one place where a permission is decided."""

from dataclasses import dataclass

from studiolo.contract.errors import Denied, NotFound
from studiolo.contract.models import PersonRef
from studiolo.contract.operations import ADMIN_MAY, OPERATIONS, Access, Role


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `via`: login, key, operator (the machine itself) or platform.

    `scopes` is None where nothing is narrowed. `workspace_id` narrows a session's key to its workspace.
    """

    person_id: str
    name: str
    display_name: str
    is_admin: bool
    via: str
    login_id: str | None = None
    key_id: str | None = None
    scopes: frozenset[str] | None = None
    workspace_id: str | None = None
    session_id: str | None = None

    @property
    def ref(self) -> PersonRef:
        """The person as others see them."""
        return PersonRef(id=self.person_id, name=self.name, display_name=self.display_name)

    def require(self, operation: str) -> None:
        """Raise Denied unless this caller may call `operation` at all (`denied`, `scope-missing`)."""
        rule = OPERATIONS[operation]
        if rule.access is Access.ADMIN and not self.is_admin:
            raise Denied(
                "denied",
                f"Only administrators may do this: {rule.summary.lower()}.",
                hint="Ask an administrator.",
            )
        if self.scopes is not None and rule.scope is not None and rule.scope not in self.scopes:
            raise Denied(
                "scope-missing",
                f"This key lacks the scope {rule.scope!r}, which is needed to {rule.summary.lower()}.",
                hint="Make a key that has it, or sign in.",
            )

    def require_on(
        self, operation: str, role: Role | None, *, workspace_id: str, missing: NotFound, owner: str
    ) -> None:
        """Raise unless `role` (None: no member) allows `operation` on a workspace.

        Raises `missing` when the caller may not even know of it, so that foreign looks like absent, else
        Denied (`denied`) naming the role that is needed and whom to ask.
        """
        self.require(operation)
        if self.workspace_id not in (None, workspace_id):
            raise missing
        as_admin = self.is_admin and operation in ADMIN_MAY
        if role is None and not self.is_admin:
            raise missing
        needed = OPERATIONS[operation].role
        if as_admin or (role is not None and (needed is None or role.includes(needed))):
            return
        have = f"you are {role.value}" if role else "you are no member"
        raise Denied(
            "denied",
            f"To {OPERATIONS[operation].summary.lower()} you need to be {needed.value if needed else 'a member'} "
            f"of this workspace; {have}.",
            hint=f"Ask {owner} to do it, or to make you {needed.value if needed else 'a member'}.",
        )


PLATFORM = Principal("", "platform", "Studiolo", is_admin=True, via="platform")
OPERATOR = Principal("", "operator", "Operator of this machine", is_admin=True, via="operator")
