"""A sandbox of the oci engine that another process, or another boot, has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from plasmid.engines import cgroups, conmon, engine, oci_sandbox


async def test_an_exit_code_without_the_files_that_were_written_tells_nothing(
    tmp_path: Path,
) -> None:
    files = conmon.Files(tmp_path, "job-x.0")
    files.exit_folder.mkdir()
    files.exit_code.write_text("0")  # on disk when the power was cut; the root is mounted no more
    (tmp_path / "root").mkdir()
    groups = (cgroups.Group(1, str(tmp_path / "gone"), ()),)
    sandbox = oci_sandbox.OciSandbox(tmp_path, oci_sandbox.State("job-x.0", "crun", groups))
    with pytest.raises(engine.SupervisorLostError):
        await sandbox.wait()
