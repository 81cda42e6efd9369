# What an interactive shell of a login reads: the user's own file, then a prompt that says where.
[ ! -r /etc/bash.bashrc ] || . /etc/bash.bashrc
[ ! -r ~/.bashrc ] || . ~/.bashrc
case $PS1 in
    *'\u@\h'*) ;;
    *) PS1='\u@\h:\w\$ ' ;;
esac
