"""REST of people: sign in, account, keys, adding people."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from studiolo.contract.details import DeviceCode, DevicePoll, DeviceStart
from studiolo.contract.models import (
    KeyCreate,
    KeyCreated,
    KeyInfo,
    LoginInfo,
    Me,
    PasswordChange,
    PersonCreate,
    SignIn,
    SignInLink,
)
from studiolo.server.accounts.devices import Devices
from studiolo.server.accounts.keys import Keys
from studiolo.server.accounts.service import Accounts
from studiolo.server.http.identity import Allow, Public
from studiolo.server.http.services import service
from studiolo.server.principal import Principal

router = APIRouter(tags=["people"])
_Accounts = Annotated[Accounts, Depends(service("accounts"))]
_Keys = Annotated[Keys, Depends(service("keys"))]
_Devices = Annotated[Devices, Depends(service("devices"))]


@router.post("/sign-in", dependencies=[Depends(Public("account.sign-in"))])
async def sign_in(form: SignIn, accounts: _Accounts) -> KeyCreated:
    """Exchange name and password for an API key."""
    return await accounts.sign_in_program(form)


@router.post("/sign-in/device", dependencies=[Depends(Public("account.sign-in-device"))])
async def begin_device(form: DeviceStart, request: Request, devices: _Devices) -> DeviceCode:
    """Begin to sign in on a machine without a browser; somebody approves the code on the platform's page."""
    # The front door appends the address it sees; what stands before is the client's own claim.
    seen = request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    return await devices.begin(form, seen or "this machine")


@router.post("/sign-in/device/token", dependencies=[Depends(Public("account.sign-in-device"))])
async def poll_device(form: DevicePoll, devices: _Devices) -> KeyCreated:
    """Ask whether the code was approved; if so, this answers with the key, once."""
    return await devices.poll(form)


@router.get("/me")
async def me(who: Annotated[Principal, Depends(Allow("account.read"))], accounts: _Accounts) -> Me:
    """The signed-in person."""
    return await accounts.me(who)


@router.put("/me/password", status_code=204)
async def change_password(
    form: PasswordChange, who: Annotated[Principal, Depends(Allow("account.update"))], accounts: _Accounts
) -> Response:
    """Set a password; other logins end."""
    await accounts.change_password(who, form)
    return Response(status_code=204)


@router.get("/me/logins")
async def list_logins(
    who: Annotated[Principal, Depends(Allow("account.read"))], accounts: _Accounts
) -> list[LoginInfo]:
    """Browsers that are signed in."""
    return await accounts.list_logins(who)


@router.post("/me/sign-out-everywhere", status_code=204)
async def sign_out_everywhere(
    who: Annotated[Principal, Depends(Allow("account.update"))], accounts: _Accounts
) -> Response:
    """End all logins; keys stay."""
    await accounts.sign_out_everywhere(who)
    return Response(status_code=204)


@router.get("/me/keys")
async def list_keys(who: Annotated[Principal, Depends(Allow("account.read"))], keys: _Keys) -> list[KeyInfo]:
    """API keys, without their secrets."""
    return await keys.list_keys(who)


@router.post("/me/keys", status_code=201)
async def create_key(
    form: KeyCreate, who: Annotated[Principal, Depends(Allow("key.create"))], keys: _Keys
) -> KeyCreated:
    """Make a key; it is shown this once."""
    return await keys.create_key(who, form)


@router.delete("/me/keys/{key_id}", status_code=204)
async def revoke_key(key_id: str, who: Annotated[Principal, Depends(Allow("key.revoke"))], keys: _Keys) -> Response:
    """Revoke a key."""
    await keys.revoke_key(who, key_id)
    return Response(status_code=204)


@router.post("/people", status_code=201)
async def create_person(
    form: PersonCreate, who: Annotated[Principal, Depends(Allow("person.create"))], accounts: _Accounts
) -> SignInLink:
    """Add a person; answers with their first sign-in link."""
    return await accounts.create_person(who, form)


@router.post("/people/{person}/sign-in-link", status_code=201)
async def create_sign_in_link(
    person: str, who: Annotated[Principal, Depends(Allow("person.reset"))], accounts: _Accounts
) -> SignInLink:
    """Make a new one-time sign-in link for a person."""
    return await accounts.create_sign_in_link(who, person)
