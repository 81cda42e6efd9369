"""Identity tokens: only for the job itself, and verifiable by what the server publishes (F.10)."""

from __future__ import annotations

from typing import Any

import jwt
import pytest

from tests.worlds import START_MS, World

AUDIENCE = "https://elsewhere.example"


@pytest.fixture
async def job(world: World) -> str:
    made = await world.a_job(await world.an_applet(await world.a_project(), name="hello"))
    await world.lease(made)
    return made


async def claims_of(world: World, token: str) -> dict[str, Any]:
    """Verify a token as a third party would: by the two documents alone."""
    discovery = (await world.http.get("/.well-known/openid-configuration")).json()
    path = discovery["jwks_uri"].removeprefix(discovery["issuer"])
    keys = jwt.PyJWKSet.from_dict((await world.http.get(path)).json())
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    claims: dict[str, Any] = jwt.decode(
        token,
        keys[jwt.get_unverified_header(token)["kid"]],
        algorithms=discovery["id_token_signing_alg_values_supported"],
        audience=AUDIENCE,
        issuer=discovery["issuer"],
        options=options,
    )
    return claims


async def test_a_jobs_token_is_verified_by_what_the_server_publishes(
    world: World, job: str
) -> None:
    body = {"audience": AUDIENCE}
    own = world.token_of(job)
    answer = await world.call(f"/{job}/getIdentityToken", body, as_=own)
    claims = await claims_of(world, answer["Token"])
    described = await world.describe(job)
    assert (claims["job_id"], claims["job_try"]) == (job, 0)
    assert claims["project_id"] == described["project"]
    assert claims["launched_by"] == described["launchedBy"]
    assert claims["sub"].startswith(f"launched_by;{described['launchedBy']};job_worker_ipv4;")
    assert (claims["iat"], claims["exp"]) == (START_MS // 1000, START_MS // 1000 + 300)
    again = await world.call(f"/{job}/getIdentityToken", body, as_=own)
    assert (await claims_of(world, again["Token"]))["jti"] != claims["jti"]


async def test_a_job_of_an_app_says_which_version_of_it(world: World) -> None:
    project = await world.a_project()
    applet = await world.an_applet(project, inputSpec=[], outputSpec=[])
    job = await world.a_job(await world.an_app(applet, version="1.2.0"), project=project)
    await world.lease(job)
    body = {"audience": AUDIENCE, "subject_claims": ["app_name", "root_executable_version"]}
    answer = await world.call(f"/{job}/getIdentityToken", body, as_=world.token_of(job))
    claims = await claims_of(world, answer["Token"])
    assert claims["sub"] == "app_name;an_app;root_executable_version;1.2.0"
    assert claims["app_version"] == "1.2.0"


async def test_the_subject_is_what_the_job_chooses(world: World, job: str) -> None:
    body = {"audience": AUDIENCE, "subject_claims": ["job_id", "root_execution_id"]}
    answer = await world.call(f"/{job}/getIdentityToken", body, as_=world.token_of(job))
    subject = (await claims_of(world, answer["Token"]))["sub"]
    assert subject == f"job_id;{job};root_execution_id;{job}"


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({}, "audience"),
        ({"audience": ""}, "audience"),
        ({"audience": ["a"]}, "audience"),
        ({"audience": "a", "subject_claims": ["shoe_size"]}, "subject_claims"),
        ({"audience": "a", "subject_claims": "job_id"}, "subject_claims"),
    ],
)
async def test_wrong_questions_are_refused(
    world: World, job: str, body: dict[str, Any], key: str
) -> None:
    refused = await world.refused(f"/{job}/getIdentityToken", body, as_=world.token_of(job))
    assert (refused.type, key in refused.message) == ("InvalidInput", True)


async def test_nobody_else_gets_a_jobs_token(world: World, job: str) -> None:
    refused = await world.refused(f"/{job}/getIdentityToken", {"audience": AUDIENCE})
    assert refused.type == "PermissionDenied"
    other = await world.a_subjob(job)
    await world.lease(other)
    refused = await world.refused(
        f"/{job}/getIdentityToken", {"audience": AUDIENCE}, as_=world.token_of(other)
    )
    assert refused.type == "PermissionDenied"
    assert (await world.http.get("/.well-known/jwks.json")).json() == {"keys": []}
