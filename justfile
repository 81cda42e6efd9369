# `just` lists the recipes. Each works on a fresh checkout: ./plasmid installs what it needs first.

tool := "./plasmid with"

# list the recipes
default:
    @just --list --unsorted

# install what is missing, development tools included
setup:
    ./plasmid setup

# all tests, or those that pytest's arguments select
test *args:
    ./plasmid test {{ args }}

# tests without network, sandboxes or clocks: seconds
unit *args:
    {{ tool }} python -m pytest tests/unit tests/tidy -n 2 {{ args }}

# each adapter against its promises
contract *args:
    ./plasmid test tests/contract {{ args }}

# the real client against real sandboxes
e2e *args:
    ./plasmid test tests/e2e {{ args }}

# the house rules: sizes, names, docs
tidy *args:
    {{ tool }} python -m pytest tests/tidy {{ args }}

# style, types and imports
check:
    {{ tool }} ruff check
    {{ tool }} ruff format --check
    {{ tool }} mypy
    {{ tool }} lint-imports

# mend what can be mended by a machine
fix:
    {{ tool }} ruff check --fix
    {{ tool }} ruff format

# measure speed beside what else runs here
bench *args:
    {{ tool }} python -m tests.benchmarks {{ args }}

# wide and deep trees of real jobs: HOW:COUNT, such as wide:5000 deep:1000
scatter *args:
    {{ tool }} python -m tests.benchmarks.scatter {{ args }}

# kill, stop and cut the power of real processes; `just faults --runs 5000 --seed 1`
faults *args:
    {{ tool }} python -m tests.faults {{ args }}

# see each seeded bug caught by such faults
faults-bugs *args:
    {{ tool }} python -m tests.faults --bugs {{ args }}

# let floods of log lines loose, each checked to its last line: `just floods --lines 10000000`
floods *args:
    {{ tool }} python -m tests.floods {{ args }}

# calls made up from the API's document, none of which may be a bug: --requests 20000 --seed N
schemathesis *args:
    {{ tool }} python -m tests.fuzz {{ args }}

# fifty seeded failures of jobs, each replayed: the same exit code, reason and last lines
replays *args:
    {{ tool }} python -m tests.replays {{ args }}

# take all of the machine for a time: no worker may be taken for lost meanwhile
busy seconds="3600":
    BUSY_SECONDS={{ seconds }} ./plasmid test tests/e2e/test_leases.py -k busy --timeout 0

# run simulated jobs under faults: --jobs N --seed S [--bug NAME], or --episode SEED again
simulate *args:
    {{ tool }} python -m tests.simulation {{ args }}

# make every base image that the network gives, and look into each: NAMES are images
bases names="ubuntu-24.04 ubuntu-20.04 ubuntu-16.04 debian-12 debian-11":
    BASES="{{ names }}" ./plasmid test tests/every_base tests/every_base/pulled_base.py

# a real applet on real reads, from nothing
demo:
    ./plasmid demo

# write the generated pages of docs/reference again
docs:
    {{ tool }} python docs/generate.py

# pin the newest versions that pyproject.toml allows
requirements:
    printf 'setuptools\n' | {{ tool }} {{ pin }} - -o requirements/build.txt
    {{ tool }} {{ pin }} --extra client pyproject.toml -o requirements/runtime.txt
    {{ tool }} {{ pin }} --extra client --extra dev -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt

pin := "env UV_CUSTOM_COMPILE_COMMAND='just requirements' uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url"

# every case of tests/behaviour on a server: `just behaviour URL --token T --second-token T`
behaviour url *args:
    {{ tool }} python -m tests.behaviour {{ url }} {{ args }}

# the client's own test suite against a server of ours: FOLDER holds its checkout and classify.json
conformance folder *args:
    {{ tool }} python {{ folder }}/run.py {{ args }}

# what CI does: the checks, then the two commands of the README
ci: check
    ./plasmid demo
    ./plasmid test
