"""The client by Python: exact versions, and wheels that fit the image."""

from __future__ import annotations

from plasmid.environments import clients, recipes


def test_every_version_is_exact() -> None:
    for client in (clients.PYTHON_2, *clients.PYTHON_3.values()):
        assert all(pin.count("==") == 1 for pin in client.requirements)


def test_wheels_are_fetched_for_the_images_python_machine_and_library() -> None:
    focal = recipes.RECIPES["ubuntu-20.04"]
    assert focal.python_3 is not None
    made = clients.wheel_options(focal.python_3, "aarch64", focal.glibc_minor)
    assert {"--python-version=3.8", "--abi=cp38", "--only-binary=:all:"} <= set(made)
    assert {"--platform=manylinux_2_31_aarch64", "--platform=any"} <= set(made)
    assert "--platform=manylinux_2_34_aarch64" not in made


def test_python_3_5_takes_the_client_of_python_2_and_a_pip_that_knows_its_age() -> None:
    client = clients.PYTHON_3["3.5"]
    assert (client.version, client.pip) == (clients.PYTHON_2.version, clients.PYTHON_2.pip)
    assert "cp35m" in client.abis


def test_numpy_is_a_wheel_where_pip_could_not_replace_the_releases_own() -> None:
    for name, recipe in recipes.RECIPES.items():
        client = recipe.python_3
        pinned = {pin.split("==")[0] for pin in (client.wheels if client else ())}
        is_wheel = name in ("ubuntu-20.04", "ubuntu-24.04")
        assert ({"numpy", "scipy"} <= pinned) is is_wheel
        assert ("python3-numpy" in recipe.packages) is not is_wheel


def test_python_2_takes_the_last_client_and_the_last_pip_that_run_on_it() -> None:
    assert clients.PYTHON_2.version == "0.364.0"
    assert clients.PYTHON_2.pip == "pip==20.3.4"
    assert "cp27mu" in clients.PYTHON_2.abis
