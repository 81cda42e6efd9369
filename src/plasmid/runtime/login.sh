#!/bin/sh
# What a login to a job runs (contract H.4), by the engine's `entry`; it becomes the user dnanexus:
#
#   login               a session of two terminals: the job's output in 1, a shell in 2
#   login -c COMMAND    one command; nothing else is written, and its exit code is passed on
#   login --sftp        the server of file transfers
#
# and, within the session: --banner and --shell (a shell, the first one with a greeting), --job (the
# job's output). A second login joins the session, which also outlives a lost connection.
# PLASMID_PROJECT_NAME, if it is given, is the name of the job's project.
here=/opt/plasmid
home=/home/dnanexus
name=$PLASMID_PROJECT_NAME

# Images that have no such user are used as root.
become_user() {
    if [ "$(id -u)" = 0 ] && user=$(id -u dnanexus 2> /dev/null); then
        group=$(id -g dnanexus)
        if command -v setpriv > /dev/null; then
            exec setpriv --reuid="$user" --regid="$group" --init-groups "$0" "$@"
        elif command -v perl > /dev/null; then
            exec perl -e '($u, $g) = splice @ARGV, 0, 2; $( = $g; $) = "$g $g"; $< = $> = $u; exec @ARGV' \
                "$user" "$group" "$0" "$@"
        fi
    fi
}

# The job's file, which may be gone or say anything: only its variables are wanted.
take_environment() {
    if (. "$home/environment") < /dev/null > /dev/null 2>&1; then
        . "$home/environment" < /dev/null > /dev/null 2>&1
    fi
    USER=$(id -un 2> /dev/null) || USER=dnanexus
    LOGNAME=$USER
    HOME=$home
    export USER LOGNAME HOME
}

# Terminals of the session have all that from its first login.
if [ -z "$TMUX" ]; then
    become_user "$@"
    take_environment
fi
unset PLASMID_PROJECT_NAME
cd "$home" 2> /dev/null || cd /

bash=$(command -v bash) || bash=
multiplex() {
    tmux -u -L dnanexus -f "$here/tmux.conf" "$@"
}

plain_shell() {
    unset PLASMID_PROJECT_NAME
    if [ -n "$bash" ]; then
        exec "$bash" --rcfile "$here/login.bashrc" -i
    fi
    PS1="$USER@$(hostname):\$ " exec /bin/sh -i
}

project_name() {
    if [ -z "$name" ] && command -v curl > /dev/null; then
        token=$(printf '%s' "$DX_SECURITY_CONTEXT" | sed -n 's/.*"auth_token": *"\([^"]*\)".*/\1/p')
        name=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
            curl -sf --max-time 3 --noproxy '*' -K - -H 'Content-Type: application/json' \
                -d '{"fields": {"name": true}}' \
                "$DX_APISERVER_PROTOCOL://$DX_APISERVER_HOST:$DX_APISERVER_PORT/$DX_PROJECT_CONTEXT_ID/describe" |
            sed -n 's/.*"name": *"\(\([^"\\]\|\\.\)*\)".*/\1/p' | sed 's/\\\(["\\]\)/\1/g')
    fi
    printf '%s' "${name:-$DX_PROJECT_CONTEXT_ID}" | tr -d '\000-\037\177'
}

banner() {
    release=$(. /etc/os-release 2> /dev/null && printf '%s %s' "$NAME" "$VERSION_ID")
    entry=
    if command -v jq > /dev/null; then
        entry=$(jq -r '", entry point " + .function' "$home/dnanexus-job.json" 2> /dev/null)
    fi
    echo "This is the DNAnexus Execution Environment, as Plasmid gives it."
    echo
    echo "Job: $DX_JOB_ID$entry"
    echo "Project: $(project_name)"
    code=
    [ ! -r "$here/exited" ] || code=$(tr -d ' \n' < "$here/exited")
    if [ -n "$code" ]; then
        echo "The job has failed (exit code $code) and is held as it was then: what it left running is"
        echo "stopped, and goes on after sudo kill -CONT PID."
    fi
    if [ -n "$TMUX" ]; then
        [ -z "$code" ] && echo "The job is running in terminal 1." || echo "Its output is in terminal 1."
        echo "F3 and F4 go from terminal to terminal, F2 opens one, F6 leaves all as they are."
    elif ! command -v tmux > /dev/null; then
        echo "This image has no tmux for a terminal 1: plasmid image build NAME makes one that has it."
    fi
    root=" For root: sudo."
    [ "$USER" != root ] || root=
    echo "Its whole log: dx watch $DX_JOB_ID. Its files: $home.$root"
    echo "OS version: ${release:-unknown}"
    echo
}

job_output() {
    trap 'exit 130' INT
    if command -v dx > /dev/null; then
        nice dx watch "$DX_JOB_ID" --quiet --get-streams -n 2000
    else
        echo "This image has no dx to show the job's output."
    fi
    echo "(There is no more to show. Ctrl-C closes this terminal.)"
    while :; do
        sleep 1000
    done
}

session() {
    [ -w "$home" ] || sudo -n chown dnanexus "$home" 2> /dev/null
    if ! command -v tmux > /dev/null; then
        banner
        plain_shell
    fi
    if command -v tput > /dev/null && ! tput clear > /dev/null 2>&1; then
        TERM=xterm-256color
        export TERM
    fi
    PLASMID_PROJECT_NAME=$name
    export PLASMID_PROJECT_NAME
    multiplex new-session -s job -n job "$here/login --job" \; \
        new-window -n shell "$here/login --banner" 2> /dev/null || join
    plain_shell
}

join() {
    multiplex list-windows -F '#W' 2> /dev/null | grep -q '^shell$' ||
        multiplex new-window -n shell "$here/login --banner" 2> /dev/null
    multiplex attach-session || banner
}

case $1 in
    -c)
        exec "${bash:-/bin/sh}" -c "$2"
        ;;
    --sftp)
        for server in /usr/lib/openssh/sftp-server /usr/libexec/openssh/sftp-server /usr/lib/ssh/sftp-server; do
            [ ! -x "$server" ] || exec "$server"
        done
        echo "This image has no openssh-sftp-server: plasmid image build makes one that has it; until then, scp -O" >&2
        exit 127
        ;;
    --job) job_output ;;
    --banner)
        banner
        plain_shell
        ;;
    --shell) plain_shell ;;
    "") session ;;
    *)
        echo "login: what is $1?" >&2
        exit 2
        ;;
esac
