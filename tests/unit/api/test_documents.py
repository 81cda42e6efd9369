"""The API's document, as it is served."""

from __future__ import annotations

from openapi_spec_validator import OpenAPIV31SpecValidator

from plasmid.api import documents
from tests.worlds import URL, World


async def test_anybody_may_read_a_valid_document_that_names_the_address_they_used(
    world: World,
) -> None:
    response = await world.http.get("/openapi.json")
    document = response.json()
    OpenAPIV31SpecValidator(document).validate()
    assert response.headers["content-type"] == "application/json"
    assert document["servers"] == [{"url": URL}]
    assert document["paths"]["/project-{id}/describe"]["post"]["x-access"] == "VIEW"
    assert not [path for path in document["paths"] if path.startswith("/internal")]


async def test_the_address_is_the_public_one_where_there_is_one(world: World) -> None:
    world.platform.public_url = "https://genomes.example.org"
    document = (await world.http.get("/openapi.json")).json()
    assert document["servers"] == [{"url": "https://genomes.example.org"}]


async def test_who_has_the_document_already_is_not_sent_it_again(world: World) -> None:
    first = await world.http.get("/openapi.json")
    again = await world.http.get("/openapi.json", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == f"public, max-age={documents.FRESH_SECONDS}"
