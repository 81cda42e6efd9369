#!/bin/sh
# The first process of a sandbox: sets up, then runs the job's template and ends with its exit code.
#
#   start.sh INTERPRETER [hold|wait]
#
# INTERPRETER is bash, python3 or python2.7. With `hold` it ends only if the job has done well: what a
# failed job leaves stays as it is, until the worker ends it. With `wait` the job's code is not run:
# somebody looks around, and runs it by hand. The worker reads afterwards:
#   /opt/plasmid/phase     "setup" until the job's own code begins, then "running"
#   /opt/plasmid/failure   why the set-up failed, one line
#   /opt/plasmid/disks     what df says at the end of a job that failed
#   /opt/plasmid/exited    with `hold`: the exit code of a job that failed
# The last two are there before, and written over in place: a full disk has room for that.
# As little as can be is started here: every process costs the job time.
state=/opt/plasmid

leave() {
    code=$1
    # A shell that cannot start a process ends with a code of its own.
    trap 'exit "$code"' EXIT
    if [ "$code" != 0 ]; then
        df -kP /dev /dev/shm 2> /dev/null 1<> "$state/disks"
        if [ -n "$hold" ]; then
            # It waits for a child that is there already: there may be no room for another process.
            printf '%s\n' "$code" 1<> "$state/exited"
            while :; do
                wait "$sleeper"
                sleep 2147483647 &
                sleeper=$!
            done
        fi
    fi
    exit "$code"
}

fail() {
    printf '%s\n' "$1" > "$state/failure"
    printf '%s\n' "$1" >&2
    leave 1
}

echo setup > "$state/phase"
interpreter=$1
hold=$2
waits=
if [ "$hold" = wait ]; then
    hold=
    waits=1
fi
if [ -n "$hold" ]; then
    sleep 2147483647 < /dev/null > /dev/null 2>&1 &
    sleeper=$!
fi

command -v "$interpreter" > /dev/null ||
    fail "The base image has no $interpreter, which runSpec.interpreter asks for: build the executable for an interpreter and release that this platform has"

cd /home/dnanexus || leave 1
# Some apps look for this process among those that run, stop it, and start their own.
/usr/bin/pcp-dstat < /dev/null > /dev/null 2>&1 &
echo "$interpreter running (job ID $DX_JOB_ID)"
echo running > "$state/phase"
while [ -n "$waits" ]; do
    sleep 2147483647
done
# Not by exec: this process stays to collect what the job leaves behind, and a job that signals
# itself must not be the first process, which signals do not end.
"$interpreter" "/home/dnanexus/$DX_JOB_ID"
leave $?
