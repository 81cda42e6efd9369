#!/bin/bash
# Runs a bash executable: its whole code in this shell, then the entry point if the code defines it.
cd /home/dnanexus
. /home/dnanexus/environment
. /home/dnanexus/.bash_helper_vars
set -e
. "$0.code.sh"
if declare -F -- @FUNCTION@ > /dev/null; then
    @FUNCTION@
else
    echo "$0: Global scope execution complete. Not invoking entry point function "@FUNCTION@" because it was not found" >&2
fi
