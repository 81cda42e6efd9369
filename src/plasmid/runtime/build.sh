#!/bin/sh
# The first process of a sandbox in which a layer is built: does one step and ends.
#
#   build.sh unpack NAME    unpacks the archive /opt/plasmid/downloads/0, which is called NAME, at /
#   build.sh install        installs what /opt/plasmid/dependencies.json asks for
#
# Why a step failed is left in /opt/plasmid/failure, one line.
state=/opt/plasmid

fail() {
    [ -e "$state/failure" ] || printf '%s\n' "$1" > "$state/failure"
    cat "$state/failure" >&2
    exit 1
}

cd / || exit 1
case $1 in
    unpack)
        echo ">>> Unpacking $2 to /"
        /usr/bin/dx-unpack --from "$state/downloads/0" --failure "$state/reason" "$2" ||
            fail "The bundled file $2 could not be unpacked: $(cat "$state/reason"); build the executable again"
        ;;
    install)
        if command -v python3 > /dev/null; then
            python3 "$state/install-dependencies"
        else
            python2.7 "$state/install-dependencies"
        fi || fail "DXExecDependencyError: the dependencies could not be installed: the log has the reason"
        ;;
esac
