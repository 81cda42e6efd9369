#!/bin/sh
# The first process of a sandbox: sets up, then runs the job's template and ends with its exit code.
#
#   start.sh INTERPRETER
#
# INTERPRETER is bash, python3 or python2.7. The worker reads two files afterwards:
#   /opt/plasmid/phase     "setup" until the job's own code begins, then "running"
#   /opt/plasmid/failure   why the set-up failed, one line
# Nothing is started here but the template: every process costs the job time.
state=/opt/plasmid

fail() {
    printf '%s\n' "$1" > "$state/failure"
    printf '%s\n' "$1" >&2
    exit 1
}

echo setup > "$state/phase"
interpreter=$1

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
