"""Descriptions of devices, as files and as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import cdi, engine

NVIDIA = """
cdiVersion: 0.5.0
kind: nvidia.com/gpu
containerEdits:
  env: [NVIDIA_VISIBLE_DEVICES=void]
  hooks:
  - {hookName: createContainer, path: /usr/bin/nvidia-cdi-hook, args: [hook, update-ldcache]}
  mounts:
  - {hostPath: /lib/libcuda.so, containerPath: /lib/libcuda.so, options: [ro, nosuid, bind]}
devices:
- {name: "0", containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}}
- {name: "1", containerEdits: {deviceNodes: [{path: /dev/nvidia1, hostPath: /dev/other}]}}
- {name: GPU-8a2f, containerEdits: {deviceNodes: [{path: /dev/nvidia0}]}}
- {name: all, containerEdits: {deviceNodes: [{path: /dev/nvidia0}, {path: /dev/nvidia1}]}}
"""
SPEC = engine.SandboxSpec(
    name="job-1.1",
    folder=Path("/work/job-1"),
    base_image=Path("/images/x/root"),
    hostname="job-1",
    command=("/bin/true",),
    environment={"A": "own", "NVIDIA_VISIBLE_DEVICES": "own"},
    working_directory="/",
    files={},
    memory_bytes=1,
    cpu_weight=1,
)


def described(folder: Path, name: str, text: str, *, mode: int = 0o644) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(mode)
    return folder


def test_each_card_is_counted_once(tmp_path: Path) -> None:
    described(tmp_path, "nvidia.yaml", NVIDIA)
    described(tmp_path, "nic.json", '{"kind": "x.org/net", "devices": [{"name": "0"}]}')
    described(tmp_path, "readme.txt", "no description")
    assert cdi.gpus([tmp_path]) == ("nvidia.com/gpu=0", "nvidia.com/gpu=1")
    named = '{"kind": "x.org/gpu", "devices": [{"name": "left"}, {"name": "all"}]}'
    other = described(tmp_path / "other", "x.json", named)
    assert cdi.gpus([other]) == ("x.org/gpu=left",)
    assert cdi.gpus([tmp_path / "none"]) == ()


def test_a_later_folder_hides_files_of_an_earlier_one(tmp_path: Path) -> None:
    first = described(tmp_path / "a", "x.json", '{"kind": "x.org/gpu", "devices": []}')
    second = described(
        tmp_path / "b", "x.json", '{"kind": "x.org/gpu", "devices": [{"name": "7"}]}'
    )
    assert cdi.gpus([first, second]) == ("x.org/gpu=7",)


def test_what_two_cards_need_comes_together_and_the_common_part_once(tmp_path: Path) -> None:
    described(tmp_path, "nvidia.yaml", NVIDIA)
    edits = cdi.edits_for(["nvidia.com/gpu=0", "nvidia.com/gpu=1"], [tmp_path])
    assert [node.path for node in edits.device_nodes] == ["/dev/nvidia0", "/dev/nvidia1"]
    assert len(edits.mounts) == len(edits.hooks) == 1
    made = cdi.applied(SPEC, edits)
    assert made.mounts == (
        engine.Mount("/dev/nvidia0", "/dev/nvidia0", read_only=False),
        engine.Mount("/dev/other", "/dev/nvidia1", read_only=False),
        engine.Mount("/lib/libcuda.so", "/lib/libcuda.so", read_only=True),
    )
    assert made.environment == {"NVIDIA_VISIBLE_DEVICES": "own", "A": "own"}
    assert cdi.hooks_of(edits) == {
        "createContainer": [
            {"path": "/usr/bin/nvidia-cdi-hook", "args": ["hook", "update-ldcache"]}
        ]
    }


def test_without_devices_nothing_is_read(tmp_path: Path) -> None:
    described(tmp_path, "broken.yaml", "{")
    assert cdi.edits_for([], [tmp_path]) == cdi.Edits()
    assert cdi.applied(SPEC, cdi.Edits()) == SPEC
    assert cdi.hooks_of(cdi.Edits()) == {}


def test_a_device_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    described(tmp_path, "nvidia.yaml", NVIDIA)
    with pytest.raises(engine.EngineError, match=r"no device nvidia.com/gpu=9 .*gpu=0, "):
        cdi.edits_for(["nvidia.com/gpu=9"], [tmp_path])


@pytest.mark.parametrize(
    ("name", "text", "mode", "problem"),
    [
        ("x.json", "{", 0o644, "no CDI specification"),
        ("x.yaml", "- a list", 0o644, "no CDI specification"),
        ("x.yaml", "kind: [1]", 0o644, "no CDI specification"),
        ("x.json", '{"devices": []}', 0o644, "no CDI specification.*kind"),
        ("x.json", '{"kind": "x.org/gpu"}', 0o666, "chmod go-w"),
    ],
)
def test_a_file_that_cannot_be_taken_is_named(
    tmp_path: Path, name: str, text: str, mode: int, problem: str
) -> None:
    described(tmp_path, name, text, mode=mode)
    with pytest.raises(engine.EngineError, match=problem) as caught:
        cdi.edits_for(["x.org/gpu=0"], [tmp_path])
    assert name in str(caught.value)
    assert cdi.gpus([tmp_path]) == ()
