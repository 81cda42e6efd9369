"""What is wrong is refused with the contract's type and status, and nothing is lost by it."""

from __future__ import annotations

import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.driver import Dx, RefusedError, Site, ask_part, opened, put, user

pytestmark = pytest.mark.e2e


def open_file(dx: Dx, name: str) -> str:
    return str(dx.call("/file/new", {"project": dx.project, "name": name})["id"])


class TestUploads:
    def test_a_part_that_changed_on_its_way_is_refused_and_may_come_again(self, dx: Dx) -> None:
        made = open_file(dx, "part")
        asked = ask_part(dx, made, b"right")
        status, said = put(str(asked["url"]), asked["headers"], b"wrong")
        assert (status, "\n" in said.strip()) == (400, False)
        status, _ = put(str(asked["url"]), asked["headers"], b"right")
        assert status == 200
        dx.call(f"/{made}/close")
        assert dx("cat", made).out == "right"

    def test_a_part_of_another_length_is_refused(self, dx: Dx) -> None:
        asked = ask_part(dx, open_file(dx, "long"), b"four")
        assert put(str(asked["url"]), asked["headers"], b"fourteen")[0] == 400

    def test_closing_waits_for_all_parts(self, dx: Dx) -> None:
        made = open_file(dx, "half")
        with pytest.raises(RefusedError) as refused:
            dx.call(f"/{made}/close")
        assert (refused.value.status, refused.value.type) == (422, "InvalidState")
        asked = ask_part(dx, made, b"x")
        with pytest.raises(RefusedError) as refused:
            dx.call(f"/{made}/close")
        assert refused.value.type == "InvalidState"
        put(str(asked["url"]), asked["headers"], b"x")
        assert dx.call(f"/{made}/close") == {"id": made}

    def test_a_closed_file_takes_no_part_and_an_open_one_gives_none(self, dx: Dx) -> None:
        done = dx.upload("closed", "x")
        with pytest.raises(RefusedError, match="is not in the open state"):
            ask_part(dx, done, b"y")
        with pytest.raises(RefusedError) as refused:
            dx.call(f"/{open_file(dx, 'still open')}/download")
        assert refused.value.type == "InvalidState"

    def test_a_url_of_somebody_else_is_of_no_use(self, dx: Dx) -> None:
        made = dx.upload("signed", "x")
        url = dx.call(f"/{made}/download", {"preauthenticated": True})["url"]
        head, _, name = url.rpartition("/")
        with (
            pytest.raises(urllib.error.HTTPError) as refused,
            urllib.request.urlopen(f"{head}x/{name}"),
        ):
            pass
        refused.value.close()
        assert refused.value.code in (401, 403, 404)

    def test_a_broken_upload_of_the_client_is_told_and_goes_on(self, dx: Dx) -> None:
        assert "No such file" in dx("upload", "nowhere", code=3).text
        assert (
            "could not be found"
            in dx("upload", "-", "--path", "project-" + "0" * 24 + ":/", code=3).text
        )


class TestHttp:
    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            ("POST", "/system/whoami", "{}", 200),
            ("POST", "/system/greet", "{}", 200),
            ("POST", "/nothing/here", "{}", 404),
            ("POST", "/project-эксперимент/describe", "{}", 404),
            ("POST", "/system/whoami", "{", 400),
            ("POST", "/system/whoami", "", 400),
            ("POST", "/system/findDataObjects", '{"state": "bad"}', 422),
        ],
    )
    def test_every_answer_has_its_headers_and_form(
        self, site: Site, *, method: str, path: str, body: str, status: int
    ) -> None:
        parts = urlsplit(site.url)
        link = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        token = {"Authorization": f"Bearer {site.keys['user_token']}"}
        quoted = urllib.parse.quote(path)
        link.request(method, quoted, body, {**token, "Content-Type": "application/json"})
        answer = link.getresponse()
        told = json.loads(answer.read())
        link.close()
        assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
        assert re.fullmatch(r"\d{13}-\d{1,6}", answer.headers["x-request-id"] or "")
        assert answer.headers["x-content-type-options"] == "nosniff"
        if status != 200:
            assert set(told["error"]) >= {"type", "message"}
            assert "\n" not in told["error"]["message"]

    def test_no_token_and_a_bad_token_are_told_apart(self, dx: Dx) -> None:
        with pytest.raises(RefusedError, match="token could not be found"):
            dx.site.call("/system/whoami", token="expired")
        none = {"DX_SECURITY_CONTEXT": '{"auth_token": "x", "auth_token_type": "Bearer"}'}
        assert "InvalidAuthentication" in dx("ls", code=3, environ=none).text

    def test_a_nonce_is_good_for_one_input(self, dx: Dx) -> None:
        body = {"project": dx.project, "name": "once", "nonce": "n1"}
        first = dx.call("/record/new", body)
        assert dx.call("/record/new", body) == first
        with pytest.raises(RefusedError, match="Nonce was reused"):
            dx.call("/record/new", {**body, "name": "twice"})


def test_a_job_of_a_release_without_an_image_says_how_to_make_one(
    images_folder: Path, tmp_path: Path
) -> None:
    table = '[images]\n"Ubuntu 24.04" = "other"\n'
    with opened(images_folder, config=table) as site:
        dx = user(site, tmp_path, "imageless")
        job = dx.run(dx.applet("true"), executionPolicy={"restartOn": {}})
        ended = site.ended(job)
    assert ended.why.startswith("ExecutionError: there is no image other")
    assert "plasmid image import FILE --as other" in ended.why
    assert '"Ubuntu 24.04" = "debian-12"' in ended.why
