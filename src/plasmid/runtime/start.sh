#!/bin/sh
# The first process of a sandbox: sets up, then runs the job's template and ends with its exit code.
#
#   start.sh INTERPRETER [BUNDLE...]
#
# INTERPRETER is bash, python3 or python2.7. Each BUNDLE is the name of an archive, whose content is
# /opt/plasmid/downloads/0, 1, and so on. The worker reads two files afterwards:
#   /opt/plasmid/phase     "setup" until the job's own code begins, then "running"
#   /opt/plasmid/failure   why the set-up failed, one line
# A job without dependencies starts nothing here but its template: every process costs the job time.
state=/opt/plasmid

fail() {
    printf '%s\n' "$1" > "$state/failure"
    printf '%s\n' "$1" >&2
    exit 1
}

echo setup > "$state/phase"
interpreter=$1
shift

cd / || exit 1
number=0
for bundle; do
    echo ">>> Unpacking $bundle to /"
    /usr/bin/dx-unpack --from "$state/downloads/$number" "$bundle" ||
        fail "The bundled file $bundle could not be unpacked: the log has the reason; build the executable again"
    number=$((number + 1))
done

if [ -e "$state/dependencies.json" ]; then
    if command -v python3 > /dev/null; then
        python3 "$state/install-dependencies"
    else
        python2.7 "$state/install-dependencies"
    fi || {
        [ -e "$state/failure" ] || fail "DXExecDependencyError: the dependencies could not be installed"
        exit 1
    }
fi

command -v "$interpreter" > /dev/null ||
    fail "The base image has no $interpreter, which runSpec.interpreter asks for: build the executable for an interpreter and release that this platform has"

cd /home/dnanexus || exit 1
# Some apps look for this process among those that run, stop it, and start their own.
/usr/bin/pcp-dstat < /dev/null > /dev/null 2>&1 &
echo "$interpreter running (job ID $DX_JOB_ID)"
echo running > "$state/phase"
# Not by exec: this process stays to collect what the job leaves behind, and a job that signals
# itself must not be the first process, which signals do not end.
"$interpreter" "/home/dnanexus/$DX_JOB_ID"
exit $?
