"""The authority of a gateway that stands alone: open on loopback, or API keys; kernels on this machine."""

import asyncio
import getpass
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from studiolo.contract.errors import Denied, InvalidInput, NotSignedIn
from studiolo.gateway.api.problems import foreign_origin
from studiolo.gateway.base import Caller, KernelExit, KernelPlan, Right, Wish
from studiolo.gateway.folders import start_folder
from studiolo.gateway.keys import Keys, given_key
from studiolo.gateway.offers.catalogue import Catalogue
from studiolo.gateway.offers.specs import DEFAULT, choose, find_resource_file, listing
from studiolo.gateway.settings import Cors
from studiolo.gateway.starting.variables import (
    cpu_wish,
    inside,
    kernel_variables,
    memory_wish,
    refuse_what_is_not_here,
    session_name,
    without_own,
)

_LOOPBACK = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?", re.IGNORECASE)
_ALL = frozenset(Right)
# Without these programs are not found and find no folder of theirs.
_NEEDED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a gateway that stands alone allows. `root`: the folder that paths are relative to.

    `prefix`: what stands before `api/`. `allowed_variables`: names beside `KERNEL_*` that clients may set, `*`: all.
    `inherited_variables`: what kernels get of the gateway's own, None: all that is not about itself.
    `force_kernel`: whatever is asked for, this kernelspec is started. `most_kernels` in all, None: no limit.
    `are_shared`: all keys open the same kernels; else each holder has own ones. `forks`: whether a process per
    environment is kept from which kernels are forked. `scheme`: what addresses of its own pages begin with.
    """

    root: Path
    prefix: str = "/"
    cors: Cors = field(default_factory=Cors)
    allowed_variables: Collection[str] = ()
    inherited_variables: Collection[str] | None = None
    default_kernel: str = DEFAULT
    force_kernel: str | None = None
    most_kernels: int | None = None
    are_shared: bool = False
    forks: bool = True
    scheme: str = "http"


class StandaloneAuthority:
    """Lets in whoever has a key, or with `keys` None everybody on this machine. Each key's holder has own kernels."""

    def __init__(self, catalogue: Catalogue, keys: Keys | None, rules: Rules) -> None:
        self._catalogue = catalogue
        self._keys = keys
        self._rules = rules
        self._running: set[str] = set()
        self._inherited = without_own(os.environ)
        if rules.inherited_variables is not None:
            kept = {*rules.inherited_variables, *_NEEDED}
            self._inherited = {name: value for name, value in self._inherited.items() if name in kept}

    async def identify(self, headers: Mapping[str, str], method: str, path: str, query: Mapping[str, str]) -> Caller:
        """Check the key, or that the request is one of this machine's own."""
        if self._keys is None:
            self._check_local(headers)
            return self._caller(getpass.getuser())
        given = given_key(headers, query)
        name = None if given is None else self._keys.find(given)
        if name is None:
            code = "not-signed-in" if given is None else "key-invalid"
            message = "This needs an API key." if given is None else "The API key is not one of this gateway's."
            raise NotSignedIn(code, message, hint="Send it as `Authorization: token KEY`, or as `?token=KEY`.")
        return self._caller(name)

    async def reserve(self, caller: Caller, wish: Wish) -> KernelPlan:
        """Choose the kernelspec, count, and make the plan."""
        assert wish.kernel_id is not None
        rules = self._rules
        wanted = rules.force_kernel or wish.spec_name
        spec = self._catalogue.recall(wanted, rules.default_kernel)
        if spec is None:
            spec = choose(await asyncio.to_thread(self._catalogue.specs), wanted, rules.default_kernel)
        refuse_what_is_not_here(wish.variables)
        cpu_limit, memory_limit = cpu_wish(wish.variables), memory_wish(wish.variables)
        if rules.most_kernels is not None and len(self._running - {wish.kernel_id}) >= rules.most_kernels:
            # Denied, so that the status is 403 as of Kernel Gateway's `max_kernels`.
            raise Denied(
                "limit-exceeded",
                f"{rules.most_kernels} kernels run already, which is the most here.",
                hint="End one that is not needed.",
            )
        self._running.add(wish.kernel_id)
        base = self._inherited
        if spec.environment is not None or spec.argv[0].endswith("/bin/python"):
            base = inside(spec.environment or Path(spec.argv[0]).parent.parent, base)
        # What a kernelspec sets is its default: a client's own value of an allowed name goes before.
        variables = kernel_variables({**base, **spec.variables}, wish, caller, allowed=rules.allowed_variables)
        return KernelPlan(
            kernel_id=wish.kernel_id,
            scope=caller.scope,
            spec_name=spec.name,
            argv=spec.argv,
            environment=spec.environment if rules.forks else None,
            folder=start_folder(rules.root, wish),
            root=rules.root,
            variables={**variables, **session_name(rules.root, wish)},
            interrupt_mode=spec.interrupt_mode,
            language=spec.language,
            metadata={**spec.metadata, "display_name": spec.display_name},
            cpu_limit=cpu_limit,
            memory_limit=memory_limit,
            path=wish.path,
        )

    async def started(self, kernel_id: str, *, ok: bool, message: str = "") -> None:
        """Count no more what did not start."""
        if not ok:
            self._running.discard(kernel_id)

    async def ended(self, kernel_id: str, exit: KernelExit) -> None:
        """Count it no more."""
        self._running.discard(kernel_id)

    async def report(self, kernels: Sequence[Mapping[str, Any]]) -> Sequence[str]:
        """Learn which kernels earlier hosts left; here all are wanted."""
        self._running |= {str(kernel["id"]) for kernel in kernels if kernel["state"] != "dead"}
        return ()

    async def list_elsewhere(self, caller: Caller) -> Sequence[Mapping[str, Any]]:
        """Return nothing: all kernels are here."""
        return ()

    async def specs(self, caller: Caller) -> Mapping[str, Any]:
        """List what the catalogue has."""
        specs = await asyncio.to_thread(self._catalogue.specs)
        return listing(specs, caller.prefix, self._rules.default_kernel)

    async def find_resource(self, caller: Caller, spec_name: str, file_name: str) -> Path | None:
        """Return a logo."""
        spec = (await asyncio.to_thread(self._catalogue.specs)).get(spec_name)
        return None if spec is None else find_resource_file(spec, file_name)

    def owner(self) -> Caller:
        """Return whom a kernel belongs to that nobody asked for by HTTP."""
        return self._caller(getpass.getuser())

    def _caller(self, name: str) -> Caller:
        scope = (
            "w-shared"
            if self._rules.are_shared
            else "w-" + (re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "gateway")[:60]
        )
        return Caller(scope, _ALL, person_id=scope, person_name=name, login=scope, prefix=self._rules.prefix)

    def _check_local(self, headers: Mapping[str, str]) -> None:
        """Keep pages of other sites out: a browser on this machine would carry their requests here.

        A foreign name in Host is a name that was pointed at this machine (DNS rebinding).
        """
        host = headers.get("Host", "")
        if not _LOOPBACK.fullmatch(host):
            raise InvalidInput("host-unknown", "Without API keys only this machine's own addresses are answered.")
        origin = headers.get("Origin")
        allowed = self._rules.cors.origins
        if origin is not None and origin != f"{self._rules.scheme}://{host}" and origin not in allowed:
            raise foreign_origin()


def check_open(address: str) -> None:
    """Raise Denied if everybody would be let in from other machines."""
    if not _LOOPBACK.fullmatch(f"[{address}]" if ":" in address else address):
        raise Denied(
            "address-insecure",
            f"--open on {address} would let everybody on the network run code here.",
            hint="Leave --open out, so that a key is needed, or listen on 127.0.0.1.",
        )
