"""Who is asking, and the one place where a permission is decided."""

from dataclasses import dataclass, replace

from studiolo.contract.errors import Denied, NotFound
from studiolo.contract.models import PersonRef
from studiolo.contract.operations import ADMIN_MAY, GATEWAY_SCOPE, OPERATIONS, SCOPE_HOLDS, Access, Role

# What a gateway key may do with kernels, and what comes with it: to see the workspace that they are in.
_OF_GATEWAY = frozenset({GATEWAY_SCOPE, "sessions:read", "sessions:write", "workspaces:read"})


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

    @property
    def is_gateway(self) -> bool:
        """Whether this came with a gateway key, which opens no route of ours."""
        return self.scopes == frozenset({GATEWAY_SCOPE})

    def at_gateway(self) -> "Principal":
        """Return what a gateway key stands for where Jupyter's own API is spoken; any other caller as it is."""
        return replace(self, scopes=_OF_GATEWAY) if self.is_gateway else self

    def require(self, operation: str) -> None:
        """Raise Denied unless this caller may call `operation` at all (`denied`, `scope-missing`)."""
        rule = OPERATIONS[operation]
        if rule.access is Access.ADMIN and not self.is_admin:
            raise Denied(
                "denied",
                f"Only administrators may do this: {rule.summary.lower()}.",
                hint="Ask an administrator.",
            )
        if self.scopes is not None and rule.scope is not None and not self._holds(rule.scope):
            if self.is_gateway:
                raise Denied(
                    "scope-missing",
                    "This is a gateway key: it opens kernels through Jupyter's own API, and nothing else.",
                    hint="Use a key of your account here: studiolo keys create, or sign in.",
                )
            raise Denied(
                "scope-missing",
                f"This key lacks the scope {rule.scope!r}, which is needed to {rule.summary.lower()}.",
                hint="Make a key that has it, or sign in.",
            )

    def _holds(self, scope: str) -> bool:
        held = self.scopes or frozenset()
        return scope in held or any(scope in SCOPE_HOLDS.get(one, ()) for one in held)

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
