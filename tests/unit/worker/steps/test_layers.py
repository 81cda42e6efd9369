"""What a job's dependencies become: layers, built in sandboxes that know nothing of the job."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plasmid.domain import assignments, errors
from plasmid.environments import layers, trees
from plasmid.worker import output_log
from tests.unit.worker import fake_engine, fake_platform
from tests.unit.worker.conftest import Place

JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB1"
OTHER_JOB = "job-BBBBBBBBBBBBBBBBBBBBBBB2"
FILE = "file-BBBBBBBBBBBBBBBBBBBBBBB1"
BUNDLED = [{"name": "a b.tar.gz", "id": {"$dnanexus_link": FILE}}]
TREE = [{"name": "tree"}]


@pytest.fixture
def place(place: Place) -> Place:
    place.platform.files = {FILE: ("stored name", b"archive")}
    place.engine.job = building()
    return place


def is_build(sandbox: fake_engine.FakeSandbox) -> bool:
    return "/opt/plasmid/build.sh" in sandbox.spec.command


def building(
    step: Callable[[fake_engine.FakeSandbox], None] | None = None,
) -> Callable[[fake_engine.FakeSandbox], None]:
    """Return what sandboxes do: builds take a step, jobs succeed."""

    def job(sandbox: fake_engine.FakeSandbox) -> None:
        if not is_build(sandbox):
            sandbox.end()
        elif step is None:
            sandbox.put("/installed", b"1")
            sandbox.write("made")
            sandbox.end()
        else:
            step(sandbox)

    return job


async def ran(place: Place, *given: assignments.Assignment) -> list[assignments.Finished]:
    """Run jobs one after another to their ends."""
    for count, assignment in enumerate(given, len(place.platform.finished) + 1):
        async with place.worker():
            await place.platform.assign(assignment)
            await place.platform.until(lambda n=count: len(place.platform.finished) == n)  # type: ignore[misc]
    return [place.platform.finished[assignment.job] for assignment in given]


def kept(place: Place) -> list[str]:
    folder = place.settings.layers_folder
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def a_job(job: str = JOB, **options: Any) -> assignments.Assignment:
    return fake_platform.an_assignment(job=job, **options)


async def test_a_job_without_dependencies_has_nothing_to_do_with_layers(place: Place) -> None:
    await ran(place, a_job())
    assert (len(place.engine.made), kept(place)) == (1, [])


async def test_a_job_lies_over_the_layers_of_its_steps_in_their_order(place: Place) -> None:
    await ran(place, a_job(bundled_depends=BUNDLED, exec_depends=TREE))
    unpack, install, job = place.engine.made
    assert unpack.spec.command[2:] == ("unpack", "a b.tar.gz")
    assert install.spec.command[2:] == ("install",)
    first, second = job.spec.layers
    assert (unpack.spec.layers, install.spec.layers) == ((), (first,))
    assert (second / "installed").read_bytes() == b"1"
    assert place.platform.messages(JOB, "STDOUT") == ["made", "made"]


async def test_a_builds_sandbox_knows_nothing_of_the_job(place: Place) -> None:
    await ran(place, a_job(bundled_depends=BUNDLED, exec_depends=TREE, input={"a": "secret"}))
    for build in filter(is_build, place.engine.made):
        told = repr((build.spec.name, build.spec.hostname, build.spec.environment))
        told += repr((build.spec.command, build.spec.files))
        assert not [word for word in (JOB, f"token-of-{JOB}", "secret") if word in told]
        assert not [name for name in build.spec.environment if name.startswith("DX_API")]


async def test_nothing_of_ours_stays_in_a_layer(place: Place) -> None:
    await ran(place, a_job(exec_depends=TREE))
    (tree,) = place.engine.made[-1].spec.layers
    found = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert found == {"installed"}


async def test_a_later_job_builds_and_downloads_nothing(place: Place) -> None:
    given: dict[str, Any] = {"bundled_depends": BUNDLED, "exec_depends": TREE}
    await ran(place, a_job(**given), a_job(OTHER_JOB, **given))
    assert [is_build(sandbox) for sandbox in place.engine.made] == [True, True, False, False]
    told = place.platform.messages(OTHER_JOB, "INFO")
    assert not [line for line in told if line.startswith("Downloading")]
    assert [line.partition(" made ")[0] for line in told if "from the layer" in line] == [
        "bundled file a b.tar.gz: from the layer",
        "apt packages tree: from the layer",
    ]


async def test_a_layer_that_is_there_is_not_for_a_job_that_may_not_read_the_file(
    place: Place,
) -> None:
    def refuse(route: str) -> None:
        if route == f"/{FILE}/download" and JOB in place.platform.finished:
            raise errors.PermissionDenied("VIEW is needed")

    place.platform.before = refuse
    first, second = await ran(
        place, a_job(bundled_depends=BUNDLED), a_job(OTHER_JOB, bundled_depends=BUNDLED)
    )
    assert first.failure_reason is None
    assert second.failure_reason == "ExecutionError"
    assert "VIEW is needed" in str(second.failure_message)
    assert len(place.engine.made) == 2


async def test_another_file_of_the_same_content_is_the_same_layer(place: Place) -> None:
    copy = FILE[:-1] + "2"
    place.platform.files[copy] = ("stored name", b"archive")
    bundled = [{**BUNDLED[0], "id": {"$dnanexus_link": copy}}]
    await ran(place, a_job(bundled_depends=BUNDLED), a_job(OTHER_JOB, bundled_depends=bundled))
    assert sum(is_build(sandbox) for sandbox in place.engine.made) == 1


async def test_a_failing_step_fails_the_job_with_its_reason_and_leaves_nothing(
    place: Place,
) -> None:
    def fail(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.put("/opt/plasmid/failure", b"DXExecDependencyError: no such package\n")
        sandbox.end(1)

    place.engine.job = building(fail)
    (ended,) = await ran(place, a_job(exec_depends=TREE))
    assert (ended.failure_reason, ended.failure_message) == (
        "ExecutionError",
        "DXExecDependencyError: no such package",
    )
    assert [sandbox.removals for sandbox in place.engine.made] == [1]
    assert (kept(place), place.folders()) == ([], [])


async def test_the_sites_secrets_are_masked_in_what_a_build_says(place: Place) -> None:
    secret = "correct-horse-battery-staple"
    address = f"https://user:{secret}@git.example/tool"

    def step(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.write(f"cloning {address}")
        sandbox.write("x" * (output_log.LINE_BYTES_MAX - 12) + secret)
        sandbox.put("/opt/plasmid/failure", f"no such repository: {address}".encode())
        sandbox.end(1)

    place.engine.job = building(step)
    job = a_job(exec_depends=TREE)
    job.secrets = [secret]
    (finished,) = await ran(place, job)
    said = place.platform.messages(JOB, "STDOUT")
    assert said[0] == "cloning https://user:***@git.example/tool"
    assert "".join(said[1:]) == "x" * (output_log.LINE_BYTES_MAX - 12) + "***"
    told = repr(place.platform.messages(JOB, "ERROR")) + str(finished.failure_message)
    assert "https://user:***@git.example/tool" in told
    assert secret[:9] not in told


async def test_a_step_that_runs_out_of_memory_asks_for_more(place: Place) -> None:
    place.engine.job = building(lambda sandbox: sandbox.end(137, out_of_memory=True))
    (ended,) = await ran(place, a_job(exec_depends=TREE))
    assert ended.failure_reason == "AppInsufficientResourceError"
    assert "instance type with more memory" in str(ended.failure_message)


async def test_a_step_that_takes_too_long_is_ended(place: Place) -> None:
    place.engine.job = building(fake_engine.run_on)
    (ended,) = await ran(place, a_job(exec_depends=TREE, timeout_ms=30))
    assert "apt packages tree: not installed in the time" in str(ended.failure_message)
    assert [sandbox.kills for sandbox in place.engine.made] == [1]


async def test_a_job_that_is_stopped_while_building_leaves_nothing(place: Place) -> None:
    place.engine.job = building(fake_engine.run_on)
    async with place.worker():
        await place.platform.assign(a_job(exec_depends=TREE))
        await place.platform.until(lambda: bool(place.engine.made))
        await place.platform.stop(assignments.HeldTry(JOB, 0))
        await place.platform.until(lambda: JOB in place.platform.finished)
    assert place.platform.finished[JOB].failure_reason == "Terminated"
    assert [sandbox.removals for sandbox in place.engine.made] == [1]
    assert kept(place) == []


async def test_a_layer_is_let_go_with_its_job(place: Place) -> None:
    await ran(place, a_job(exec_depends=TREE))
    store = layers.Layers(place.settings.layers_folder)
    (layer,) = store.all()
    assert list((layer.tree.parent / "leases").iterdir()) == []
    store.remove(layer.about.key)


async def test_a_damaged_layer_is_made_anew_and_that_is_told(place: Place) -> None:
    await ran(place, a_job(exec_depends=TREE))
    (tree,) = place.engine.made[-1].spec.layers
    (tree / "installed").write_bytes(b"2")
    await ran(place, a_job(OTHER_JOB, exec_depends=TREE))
    (warning,) = place.platform.messages(OTHER_JOB, "WARNING")
    assert (
        warning == "apt packages tree: the layer is made anew, as /installed is not as it was made"
    )
    (tree,) = place.engine.made[-1].spec.layers
    assert (tree / "installed").read_bytes() == b"1"


async def test_a_disk_that_is_full_fails_the_job_with_the_remedy(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trees, "manifest", full)
    (ended,) = await ran(place, a_job(exec_depends=TREE))
    assert ended.failure_reason == "JMInternalError"
    assert "plasmid layer gc" in str(ended.failure_message)
    assert kept(place) == [".lock"] or kept(place) == []


async def test_what_a_bundle_brings_of_our_files_is_what_the_job_sees(place: Place) -> None:
    def unpack(sandbox: fake_engine.FakeSandbox) -> None:
        sandbox.put("/home/dnanexus/.bashrc", b"alias x=y\n")
        sandbox.put("/home/dnanexus/environment", b"export DX_JOB_ID=other\n")
        sandbox.end()

    place.engine.job = building(unpack)
    await ran(place, a_job(bundled_depends=BUNDLED))
    files = place.engine.made[-1].spec.files
    assert "/home/dnanexus/.bashrc" not in files
    assert "/home/dnanexus/.profile" in files
    assert JOB.encode() in files["/home/dnanexus/environment"]


async def test_what_is_no_lock_fails_the_job(place: Place) -> None:
    given = msgspec.structs.replace(a_job(exec_depends=TREE), lock={"plasmidLock": 1})
    (ended,) = await ran(place, given)
    assert "is no lock" in str(ended.failure_message)
