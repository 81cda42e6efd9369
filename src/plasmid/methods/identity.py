"""Identity tokens: a job proves to a third party which job it is (contract F.10)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from plasmid.auth import identity
from plasmid.domain import errors, keys
from plasmid.metadata import apps, settings
from plasmid.metadata.database import Reader
from plasmid.metadata.rows import AnalysisRow, JobRow
from plasmid.methods import targets
from plasmid.methods.call import Call, Platform
from plasmid.methods.registry import Mode, method
from plasmid.methods.targets import Access

KEY_SETTING: Final = "identity_key"
LIFETIME_SECONDS: Final = 300
DEFAULT_SUBJECT: Final = ("launched_by", "job_worker_ipv4")


class IdentityToken(msgspec.Struct, rename="pascal"):
    """The answer; its key begins with a capital letter."""

    token: str


@method("/job-xxxx/getIdentityToken", access=Access.OBJECT_VIEW, mode=Mode.WRITE)
async def get_identity_token(call: Call, target: JobRow, body: dict[str, Any]) -> IdentityToken:
    """Return a signed token that says which job calls; only the job itself gets it."""
    if call.actor.job != target.id:
        raise errors.PermissionDenied(f"Only {target.id} itself may ask for its identity token")
    audience = body.get("audience")
    if not isinstance(audience, str) or not audience:
        raise errors.InvalidInput('Expected key "audience" of input to be a nonempty string')
    claims = await _claims(call, target)
    chosen = keys.strings(body, "subject_claims") or list(DEFAULT_SUBJECT)
    for name in chosen:
        if name not in claims:
            known = ", ".join(sorted(claims))
            raise errors.InvalidInput(
                f'Expected key "subject_claims" of input to hold only {known}; got "{name}"'
            )
    claims["sub"] = ";".join(f"{name};{claims[name]}" for name in chosen)
    claims["aud"] = audience
    return IdentityToken(identity.sign(await _key(call), claims))


async def _claims(call: Call, job: JobRow) -> dict[str, Any]:
    root = await targets.get_execution(call, job.root_execution)
    now = call.now_ms // 1000
    return {
        "iss": issuer(call.platform, call.request.base_url),
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "jti": call.platform.randomness(16).hex(),
        "job_id": job.id,
        "job_try": job.attempt,
        "root_execution_id": root.id,
        "root_executable_id": root.executable,
        "root_executable_name": root.executable_name,
        "executable_id": job.executable,
        "project_id": job.project,
        "bill_to": job.bill_to,
        "launched_by": job.launched_by,
        "region": job.region,
        "job_worker_ipv4": call.request.client_ip,
        **await _app_claims(call, job, root),
    }


async def _app_claims(call: Call, job: JobRow, root: JobRow | AnalysisRow) -> dict[str, str]:
    """Return what only jobs of apps can say of themselves."""
    claims: dict[str, str] = {}
    app = await apps.find_version(call.reader, job.executable)
    if app is not None:
        claims |= {"app_name": app.name, "app_version": app.version}
    app = await apps.find_version(call.reader, root.executable)
    if app is not None:
        claims["root_executable_version"] = app.version
    return claims


async def _key(call: Call) -> str:
    found = await settings.find_setting(call.tx, KEY_SETTING)
    if found is None:
        found = identity.make_key()
        await settings.add_setting(call.tx, KEY_SETTING, found)
    return found


def issuer(platform: Platform, base_url: str) -> str:
    """Return the URL that tokens name as their issuer: the public one, else the caller's."""
    return platform.public_url or base_url


async def published_keys(reader: Reader) -> dict[str, Any]:
    """Return the document that verifiers read keys from (RFC 7517); empty before the first."""
    found = await settings.find_setting(reader, KEY_SETTING)
    return {"keys": [] if found is None else [identity.public_key(found)]}


def discovery(url: str) -> dict[str, Any]:
    """Return what an issuer at a URL says of itself (OpenID Connect Discovery 1.0)."""
    return {
        "issuer": url,
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [identity.ALGORITHM],
    }
